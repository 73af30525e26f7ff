"""Port of server/lorax_server/cache.py, and of the batches in it (models/flash_causal_lm.py)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from tests.contract.lorax_double import generate_pb2
from tests.contract.lorax_double.queues import Generated
from tests.contract.lorax_double.sample_answers import LoadedWeights, prefill_logprobs, written
from tests.contract.lorax_double.tokens import StoppingCriteria, Token

Weights = tuple[LoadedWeights, ...]


class Running:
    """A request in a batch."""

    def __init__(self, request: generate_pb2.Request) -> None:
        self.id, self.adapter_index, self._valid = request.id, request.adapter_index, request.valid
        self._stopping = StoppingCriteria(
            self._valid.stop_sequences, self._valid.max_new_tokens, self._valid.ignore_eos_token
        )
        self._prompt = "".join(token.text for token in self._valid.prompt)
        self._weights: Weights | None = None
        self._written: Iterator[Token] = iter(())

    @property
    def inputs(self) -> str:
        return self._valid.inputs

    def step(self, weights: Weights) -> Generated:
        """The next token, by the weights that are on the GPU now: without any, by the base model."""
        position = self._stopping.current_tokens
        if weights != self._weights:
            tokens = written(self._prompt, weights, self._valid.schema)
            self._weights, self._written = weights, itertools.islice(tokens, position, None)
        token = next(self._written)
        if position:
            return Generated(token, finish_reason=self._stopping(token))
        prompt = self._valid.prompt
        return Generated(token, prompt, prefill_logprobs(prompt, weights), self._stopping(token))


@dataclass(frozen=True)
class AdapterBatchMetadata:
    """adapters/weights.py: the adapters of a batch."""

    adapter_set: set[int]


@dataclass(frozen=True)
class Batch:
    batch_id: int
    requests: Sequence[Running]

    @property
    def adapter_meta(self) -> AdapterBatchMetadata:
        return AdapterBatchMetadata({running.adapter_index for running in self.requests})

    def filter(self, request_ids: Sequence[int]) -> Self:
        return type(self)(self.batch_id, [each for each in self.requests if each.id in request_ids])

    def to_pb(self) -> generate_pb2.CachedBatch:
        return generate_pb2.CachedBatch(self.batch_id, [running.id for running in self.requests])

    @classmethod
    def from_pb(cls, batch: generate_pb2.Batch) -> Self:
        return cls(batch.id, [Running(request) for request in batch.requests])

    @classmethod
    def concatenate(cls, batches: Sequence[Self]) -> Self:
        return cls(batches[0].batch_id, [each for batch in batches for each in batch.requests])


class Cache:
    def __init__(self) -> None:
        self.cache: dict[int, Batch] = {}

    def pop(self, batch_id: int) -> Batch:
        """LoRAX raises this text where it pops."""
        if batch_id not in self.cache:
            raise ValueError(f"Batch ID {batch_id} not found in cache.")
        return self.cache.pop(batch_id)

    def set(self, entry: Batch | None) -> None:
        if entry is not None:
            self.cache[entry.batch_id] = entry

    def delete(self, batch_id: int) -> None:
        self.cache.pop(batch_id, None)
