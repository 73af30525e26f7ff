"""Port of `batching_task` in router/src/infer.rs, and of router/src/health.rs: all requests together."""

import asyncio
import itertools

from tests.contract.lorax_double.abort import abort
from tests.contract.lorax_double.adapter import Adapter
from tests.contract.lorax_double.errors import InferError, ServerError
from tests.contract.lorax_double.log import INFER, log
from tests.contract.lorax_double.metrics import count, gauge
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.queues import Entry, Generated
from tests.contract.lorax_double.scheduler import AdapterScheduler
from tests.contract.lorax_double.shard import Shard

#: A prompt with this is the last that is ever worked on (issue 779); health checks do not notice.
HANG = "[[hang]]"
#: How long one step of decoding takes on a GPU, about.
_STEP_SECONDS = 0.03


class Batching:
    def __init__(self, shard: Shard, scheduler: AdapterScheduler, options: Options) -> None:
        self._shard = shard
        self._scheduler = scheduler
        self._options = options
        self._request_ids = itertools.count()
        self._running: dict[int, Entry] = {}
        self._generation_health = False

    async def is_healthy(self) -> bool:
        """GET /health: after a good batch only whether the shard answers, else one token is generated."""
        if self._generation_health:
            await self._shard.health()
        else:
            await self._shard.prefill({})
            self._generation_health = True
        return True

    async def run(self) -> None:
        while True:
            await self._scheduler.notify.wait()
            self._scheduler.notify.clear()
            while batch := self._scheduler.next_batch(frozenset(), None):
                await self._prefill(batch)
                await self._run_until_idle()
                gauge("lorax_batch_current_size", 0)

    async def _run_until_idle(self) -> None:
        waiting_tokens = 1
        while self._running:
            gauge("lorax_batch_current_size", len(self._running))
            self._scheduler.remove_errored_adapters()
            patient = waiting_tokens < self._options.max_waiting_tokens
            min_size = int(len(self._running) * self._options.waiting_served_ratio) if patient else None
            while batch := self._scheduler.next_batch(self._in_use(), min_size):
                await self._prefill(batch)
                waiting_tokens = 1
                if not self._options.eager_prefill:
                    break
            await self._decode()
            waiting_tokens += 1

    def _in_use(self) -> frozenset[Adapter]:
        return frozenset(entry.adapter for entry in self._running.values())

    async def _prefill(self, batch: list[Entry]) -> None:
        count("lorax_batch_inference_count", method="prefill")
        if any(HANG in entry.request.inputs for entry in batch):
            await asyncio.Event().wait()
        others = bool(self._running)
        new = {next(self._request_ids): entry for entry in batch}
        self._running |= new
        try:
            generated = await self._shard.prefill(new)
        except ServerError as error:
            self._fail("prefill", error)
            if others:
                # The shard still has the batch that ran before, and the router no longer knows its requests.
                await asyncio.sleep(_STEP_SECONDS)
                abort("ID not found in entries. This is a bug.")
            return
        await self._send("prefill", generated)

    async def _decode(self) -> None:
        if not self._running:
            return
        count("lorax_batch_inference_count", method="decode")
        await self._send("decode", await self._shard.decode())

    async def _send(self, method: str, generated: dict[int, Generated]) -> None:
        self._generation_health = True
        count("lorax_batch_inference_success", method=method)
        for request_id, each in generated.items():
            heard = self._running[request_id].responses.send(each)
            if not heard:
                count("lorax_request_failure", err="dropped")
            if not heard or each.finish_reason is not None:
                del self._running[request_id]
        await self._shard.filter_batch(self._running.keys())

    def _fail(self, method: str, error: ServerError) -> None:
        """Send one error to all running requests."""
        self._generation_health = False
        count("lorax_batch_inference_failure", method=method)
        for entry in self._running.values():
            count("lorax_request_failure", err="generation")
            log(INFER, f"Server error: {error}", entry.request.inputs)
            entry.responses.send(InferError.generation(str(error)))
        self._running.clear()
