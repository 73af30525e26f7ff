"""Port of router/src/loader.rs: one task that awaits each download, load and offload in turn."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.contract.lorax_double.abort import abort
from tests.contract.lorax_double.adapter import Adapter
from tests.contract.lorax_double.errors import InferError, ServerError
from tests.contract.lorax_double.log import LOADER, log
from tests.contract.lorax_double.metrics import count
from tests.contract.lorax_double.queues import AdapterQueuesState, Status
from tests.contract.lorax_double.shard import Shard

Command = Callable[[Adapter], Awaitable[None]]


class AdapterLoader:
    def __init__(self, shard: Shard, state: AdapterQueuesState) -> None:
        self._shard = shard
        self._state = state
        self._commands: asyncio.Queue[tuple[Command, Adapter]] = asyncio.Queue()
        self._errors: dict[Adapter, str] = {}

    def download(self, adapter: Adapter) -> None:
        self._commands.put_nowait((self._download, adapter))

    def load(self, adapter: Adapter) -> None:
        self._commands.put_nowait((self._load, adapter))

    def offload(self, adapter: Adapter) -> None:
        self._commands.put_nowait((self._offload, adapter))

    def terminate(self, adapter: Adapter) -> None:
        self._commands.put_nowait((self._terminate, adapter))

    async def run(self) -> None:
        while True:
            command, adapter = await self._commands.get()
            await command(adapter)

    async def _download(self, adapter: Adapter) -> None:
        if self._failed_before(adapter, "download_adapter"):
            return
        try:
            adapter.params.into_message()
            cost = await self._shard.download_adapter(adapter)
        except ServerError as error:
            self._failed(adapter, "download_adapter", error)
            return
        log(LOADER, f"adapter {adapter} downloaded")
        # It may have been terminated since it was asked for.
        if adapter in self._state.queue_map:
            self._state.queue_map[adapter].cost = cost
            self._state.set_status(adapter, Status.DOWNLOADED)

    async def _load(self, adapter: Adapter) -> None:
        if self._failed_before(adapter, "load_adapter"):
            return
        try:
            await self._shard.load_adapter(adapter)
        except ServerError as error:
            self._failed(adapter, "load_adapter", error)
            return
        log(LOADER, f"adapter {adapter} loaded")
        self._state.set_status(adapter, Status.READY)

    async def _offload(self, adapter: Adapter) -> None:
        if self._failed_before(adapter, "offload_adapter"):
            return
        await self._shard.offload_adapter(adapter)
        log(LOADER, f"adapter {adapter} offloaded")
        self._state.set_status(adapter, Status.DOWNLOADED)

    async def _terminate(self, adapter: Adapter) -> None:
        """Answer the requests that wait for a failed adapter, and remove it, so that it can be tried again."""
        error = self._errors.pop(adapter, None)
        if adapter not in self._state.queue_map:
            return
        for entry in self._state.queue_map[adapter].entries:
            if error is None:
                entry.responses.send(None)
            elif not entry.responses.send(InferError.generation(error)):
                abort("called `Result::unwrap()` on an `Err` value: SendError { .. }")
        self._state.remove(adapter)

    def _failed_before(self, adapter: Adapter, what: str) -> bool:
        if adapter not in self._errors:
            return False
        count("lorax_request_failure", err=what)
        if adapter in self._state.queue_map:
            self._state.set_status(adapter, Status.ERRORED)
        return True

    def _failed(self, adapter: Adapter, what: str, error: ServerError) -> None:
        log(LOADER, f"FAILED {what} {adapter}")
        count("lorax_request_failure", err=what)
        if adapter in self._state.queue_map or what != "download_adapter":
            self._state.set_status(adapter, Status.ERRORED)
        self._errors[adapter] = str(error)
