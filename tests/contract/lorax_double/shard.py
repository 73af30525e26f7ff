"""Port of server/lorax_server/server.py and models/model.py: one asyncio loop on which everything blocks.

While an adapter is downloaded or loaded, no token is generated for anyone, and no health check answered.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tests.contract.lorax_double.abort import CRASHED, end
from tests.contract.lorax_double.adapter import BASE_MODEL_ADAPTER_ID, Adapter
from tests.contract.lorax_double.adapter_files import download_adapter_weights, load_module_map
from tests.contract.lorax_double.errors import ServerError
from tests.contract.lorax_double.houses import LoadedWeights, written
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.queues import Generated
from tests.contract.lorax_double.sources import SOURCES
from tests.contract.lorax_double.tokens import StoppingCriteria, Token
from tests.contract.lorax_double.validation import ValidGenerateRequest

T = TypeVar("T")
Weights = tuple[LoadedWeights, ...]

#: What a prompt can hold to make things go wrong.
OUT_OF_MEMORY, SLOW, CRASH = "[[oom]]", "[[slow]]", "[[crash]]"
_OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 22.06 GiB of which "
    "1.12 GiB is free. Process 42 has 20.93 GiB memory in use."
)


class Running:
    """A request in the shard's cache."""

    def __init__(self, request: ValidGenerateRequest, adapter_index: int) -> None:
        self.request = request
        self.adapter_index = adapter_index
        self._stopping = StoppingCriteria(
            request.stop_sequences, request.max_new_tokens, request.ignore_eos_token
        )
        self._prompt = "".join(token.text for token in request.prompt)
        self._weights: Weights | None = None
        self._written: Iterator[Token] = iter(())

    def step(self, weights: Weights) -> Generated:
        """The next token, by the weights that are on the GPU now: without any, by the base model."""
        position = self._stopping.current_tokens
        if weights != self._weights:
            tokens = written(self._prompt, weights, self.request.schema)
            self._weights, self._written = weights, itertools.islice(tokens, position, None)
        token = next(self._written)
        return Generated(token, None if position else self.request.prompt, self._stopping(token))


class Shard:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._loop = asyncio.Lock()
        self._loaded: dict[int, Weights] = {}

    async def health(self) -> None:
        async with self._loop:
            pass

    async def prefill(self, batch: Sequence[Running]) -> list[Generated]:
        """The first token of each; raises `ServerError`, and then no request of the batch has one."""
        async with self._loop:
            prompts = [running.request.inputs for running in batch]
            if any(CRASH in prompt for prompt in prompts):
                end(CRASHED, "Shard 0 crashed")
            if any(OUT_OF_MEMORY in prompt for prompt in prompts):
                raise ServerError(_OUT_OF_MEMORY)
            return await self._step(batch)

    async def decode(self, batch: Sequence[Running]) -> list[Generated]:
        """The next token of each."""
        async with self._loop:
            return await self._step(batch)

    async def download_adapter(self, adapter: Adapter) -> float:
        """The share of the memory for adapters that it will take; raises `ServerError`."""
        source = _source(adapter, "downloading")
        return await self._blocking(lambda: self._download(adapter, source))

    async def load_adapter(self, adapter: Adapter) -> None:
        """Raises `ServerError`."""
        source = _source(adapter, "loading")
        if BASE_MODEL_ADAPTER_ID not in adapter.params.ids or len(adapter.params.ids) > 1:
            await self._blocking(lambda: self._load(adapter, source))

    async def offload_adapter(self, adapter: Adapter) -> None:
        async with self._loop:
            self._loaded.pop(adapter.index, None)

    async def _step(self, batch: Iterable[Running]) -> list[Generated]:
        slow = any(SLOW in running.request.inputs for running in batch)
        await asyncio.sleep(self._options.slow_token_seconds if slow else self._options.token_seconds)
        return [running.step(self._loaded.get(running.adapter_index, ())) for running in batch]

    async def _blocking(self, work: Callable[[], T]) -> T:
        """Work that LoRAX does on the shard's loop itself; here it has a thread, and the loop waits."""
        async with self._loop:
            try:
                return await asyncio.to_thread(work)
            except Exception as error:
                raise ServerError(str(error)) from error

    def _download(self, adapter: Adapter, source: str) -> float:
        ids = [each for each in adapter.params.ids if each != BASE_MODEL_ADAPTER_ID]
        if not ids:
            return 0.0
        time.sleep(self._options.download_seconds)
        size = sum(download_adapter_weights(each, source, adapter.api_token) for each in ids)
        room = self._options.adapter_memory_size
        if room == 0:
            remedy = "Please set a memory reservation for adapters."
            raise ValueError(f"Memory reserved for adapters is 0. {remedy}")
        if size > room:
            sizes = f"{size} / {room} bytes"
            raise ValueError(f"Adapter {ids[-1]} is larger than adapter memory reservation: {sizes}")
        return size / room

    def _load(self, adapter: Adapter, source: str) -> None:
        if adapter.index in self._loaded:
            return
        time.sleep(self._options.load_seconds)
        if BASE_MODEL_ADAPTER_ID in adapter.params.ids:
            raise ValueError("Base model adapter cannot be merged.")
        model, token = self._options.model_id, adapter.api_token
        maps = [load_module_map(model, each, source, token) for each in adapter.params.ids]
        self._loaded[adapter.index] = tuple(each.weights() for each in maps)


def _source(adapter: Adapter, doing: str) -> str:
    """router/client/src/client.rs."""
    source = adapter.source.lower()
    if source not in SOURCES:
        ids = ",".join(adapter.params.ids)
        raise ServerError(f"Invalid source '{adapter.source}' when {doing} adapter '{ids}'")
    return source
