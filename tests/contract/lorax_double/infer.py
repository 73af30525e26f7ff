"""Port of `Infer` in router/src/infer.rs: one request from the permit to the last token."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.contract.lorax_double.adapter import Adapter, AdapterIndex, extract_adapter_params
from tests.contract.lorax_double.batching import Batching
from tests.contract.lorax_double.errors import InferError
from tests.contract.lorax_double.log import INFER, log
from tests.contract.lorax_double.metrics import count
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.queues import Entry, Generated, Responses
from tests.contract.lorax_double.scheduler import AdapterScheduler
from tests.contract.lorax_double.schema import GenerateRequest
from tests.contract.lorax_double.shard import Shard
from tests.contract.lorax_double.tokens import Token
from tests.contract.lorax_double.validation import validate, validate_best_of


@dataclass
class InferResponse:
    """The tokens generated for one request so far."""

    entry: Entry
    tokens: list[Token] = field(default_factory=list)
    prompt: list[Token] = field(default_factory=list)
    prefill_logprobs: Sequence[float] = ()
    finish_reason: str | None = None

    def add(self, generated: Generated) -> None:
        if generated.prompt is not None:
            self.prompt = generated.prompt
            self.prefill_logprobs = generated.prefill_logprobs
            self.entry.prefill_time = time.monotonic()
        self.tokens.append(generated.token)
        self.finish_reason = generated.finish_reason

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens if not token.special)

    @property
    def seed(self) -> int | None:
        return self.entry.request.seed if self.entry.request.samples else None


class Infer:
    def __init__(self, options: Options) -> None:
        shard = Shard(options)
        self.options = options
        self._scheduler = AdapterScheduler(shard, options)
        self.batching = Batching(shard, self._scheduler, options)
        self._adapter_to_index = AdapterIndex()
        self._permits = options.max_concurrent_requests

    def start(self) -> list[asyncio.Task[None]]:
        """Start the two background tasks: one loads adapters, one generates."""
        return [asyncio.create_task(work) for work in (self._scheduler.loader.run(), self.batching.run())]

    @contextlib.contextmanager
    def generate_stream(self, request: GenerateRequest) -> Iterator[Entry]:
        """Queue the request; its permit is kept until the end of the block."""
        if self._permits == 0:
            count("lorax_request_failure", err="overloaded")
            raise self._logged(InferError.overloaded(), request)
        self._permits -= 1
        responses = Responses()
        try:
            yield self._append(request, responses)
        finally:
            responses.is_closed = True
            self._permits += 1

    async def generate(self, request: GenerateRequest) -> InferResponse:
        with self.generate_stream(request) as entry:
            response = InferResponse(entry)
            while response.finish_reason is None:
                response.add(await entry.responses.next())
            return response

    async def generate_best_of(self, request: GenerateRequest, best_of: int) -> list[InferResponse]:
        """Return the best one first. All are equally good here."""
        wanted = range(validate_best_of(best_of, self.options))
        tasks = [asyncio.create_task(self.generate(request)) for _ in wanted]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    def _append(self, request: GenerateRequest, responses: Responses) -> Entry:
        asked = request.parameters
        source, params = extract_adapter_params(
            asked.adapter_id, asked.adapter_source, asked.merged_adapters, self.options.adapter_source
        )
        adapter = Adapter(self._adapter_to_index.of(params), params, source, asked.api_token)
        try:
            valid = validate(request, self.options, random.getrandbits(64))
        except InferError as error:
            count("lorax_request_failure", err="validation")
            raise self._logged(error, request) from None
        entry = Entry(valid, adapter, responses)
        self._scheduler.process(entry)
        return entry

    @staticmethod
    def _logged(error: InferError, request: GenerateRequest) -> InferError:
        log(INFER, str(error), request.inputs)
        return error
