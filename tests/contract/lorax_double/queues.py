"""Port of router/src/queue.rs: which adapters have requests, and which are on the GPU.

What can be seen from outside: an idle adapter leaves the GPU for every adapter that waits, first in, first
out, even where there is room; and the share of adapter memory that an adapter has taken is not given back
when its load fails.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from enum import Enum

from tests.contract.lorax_double.abort import abort
from tests.contract.lorax_double.adapter import Adapter
from tests.contract.lorax_double.errors import InferError
from tests.contract.lorax_double.log import LOADER, log
from tests.contract.lorax_double.tokens import Token
from tests.contract.lorax_double.validation import ValidGenerateRequest


class Status(Enum):
    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    READY = "Ready"
    ERRORED = "Errored"


@dataclass(frozen=True)
class Generated:
    """One token, and at the end why it is the last one."""

    token: Token
    prompt: list[Token] | None = None
    """With the first token: the prompt as the model got it."""
    prefill_logprobs: Sequence[float] = ()
    """With the first token: the log probability of each token of the prompt but its first."""
    finish_reason: str | None = None


class Responses:
    """The channel to the client's request; closed when the client has disconnected."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Generated | InferError | None] = asyncio.Queue()
        self.is_closed = False

    def send(self, item: Generated | InferError | None) -> bool:
        """Return True if a client still waits for it. None: no more responses follow."""
        if not self.is_closed:
            self._items.put_nowait(item)
        return not self.is_closed

    async def next(self) -> Generated:
        """Raises `InferError`, also if the channel ends before the last token."""
        item = await self._items.get()
        if item is None:
            raise InferError.incomplete()
        if isinstance(item, InferError):
            raise item
        return item


@dataclass(eq=False)
class Entry:
    """One request in a queue or in a batch."""

    request: ValidGenerateRequest
    adapter: Adapter
    responses: Responses
    queue_time: float = field(default_factory=time.monotonic)
    batch_time: float = 0.0
    prefill_time: float = 0.0


@dataclass
class QueueState:
    adapter: Adapter
    status: Status = Status.DOWNLOADING
    cost: float | None = None
    activation_ts: float = 0.0
    entries: deque[Entry] = field(default_factory=deque)


class AdapterQueuesState:
    def __init__(self, max_active_adapters: int, max_active_seconds: float, notify: asyncio.Event) -> None:
        self._max_active_adapters = max_active_adapters
        self._max_active_seconds = max_active_seconds
        self._notify = notify
        self.queue_map: dict[Adapter, QueueState] = {}
        self._pending: deque[Adapter] = deque()
        self._active: deque[Adapter] = deque()
        self._tracked: set[Adapter] = set()
        self.memory_budget_remaining = 1.0

    def append(self, entry: Entry) -> bool:
        """Return True if the adapter must be downloaded: it is unknown, or its last load failed."""
        adapter = entry.adapter
        unknown = adapter not in self.queue_map
        queue = self.queue_map.setdefault(adapter, QueueState(adapter))
        if adapter not in self._tracked:
            self._tracked.add(adapter)
            # The next load uses the source and the token of the caller who brings the adapter back.
            self._pending.append(adapter)
        queue.entries.append(entry)
        return unknown

    def __len__(self) -> int:
        return sum(len(queue.entries) for queue in self.queue_map.values())

    def set_status(self, adapter: Adapter, status: Status) -> None:
        if adapter not in self.queue_map:
            abort("called `Option::unwrap()` on a `None` value: queue_map")
        self.queue_map[adapter].status = status
        self._notify.set()

    def errored(self) -> list[Adapter]:
        return [adapter for adapter, queue in self.queue_map.items() if queue.status is Status.ERRORED]

    def untrack(self, adapter: Adapter) -> None:
        for adapters in (self._active, self._pending):
            if adapter in adapters:
                adapters.remove(adapter)
        self._tracked.discard(adapter)

    def remove(self, adapter: Adapter) -> None:
        self.untrack(adapter)
        del self.queue_map[adapter]

    def update_adapters(self, in_use: Set[Adapter]) -> tuple[list[Adapter], list[Adapter]]:
        """The adapters to offload and those to load, in this order."""
        now = time.monotonic()
        offload: list[Adapter] = []
        for adapter in self._active:
            if len(self._pending) <= len(offload):
                break
            if adapter not in in_use and not self.queue_map[adapter].entries:
                offload.append(adapter)
        for adapter in offload:
            self._active.remove(adapter)
            self._tracked.discard(adapter)
        if self._active and self._pending:
            oldest = self._active[0]
            active_seconds = now - self.queue_map[oldest].activation_ts
            if oldest not in in_use and active_seconds > self._max_active_seconds:
                self._pending.append(self._active.popleft())
                offload.append(oldest)
        for adapter in offload:
            self.memory_budget_remaining += self.queue_map[adapter].cost or 0.0
            log(LOADER, f"offloading adapter {adapter}")
        return offload, self._activate(now)

    def _activate(self, now: float) -> list[Adapter]:
        load: list[Adapter] = []
        while self._pending and len(self._active) < self._max_active_adapters:
            queue = self.queue_map[self._pending[0]]
            # The first that is not downloaded yet, or does not fit, holds up all behind it.
            if queue.cost is None or queue.cost > self.memory_budget_remaining:
                break
            queue.activation_ts = now
            self.memory_budget_remaining -= queue.cost
            load.append(self._pending.popleft())
            self._active.append(load[-1])
            budget = f"(memory budget remaining: {self.memory_budget_remaining})"
            log(LOADER, f"loading adapter {load[-1]} with cost {queue.cost} {budget}")
        return load

    def next_entry(self) -> Entry | None:
        """The request that has waited longest, of the adapters that have not been active for too long."""
        now = time.monotonic()
        ready = [self.queue_map[adapter] for adapter in self._active]
        ready = [queue for queue in ready if queue.entries and queue.status is Status.READY]
        fresh = [queue for queue in ready if now - queue.activation_ts < self._max_active_seconds]
        if not ready:
            return None
        oldest = min(fresh or ready, key=lambda queue: queue.entries[0].queue_time)
        return oldest.entries.popleft()
