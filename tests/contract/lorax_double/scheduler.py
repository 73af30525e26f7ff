"""Port of router/src/scheduler.rs: requests into queues, and queues into the next batch.

Left out: the allocation of cache blocks and the token budgets; here a batch can always grow.
"""

import asyncio
import time
from collections.abc import Set

from tests.contract.lorax_double.adapter import Adapter
from tests.contract.lorax_double.loader import AdapterLoader
from tests.contract.lorax_double.metrics import count
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.queues import AdapterQueuesState, Entry
from tests.contract.lorax_double.shard import Shard


class AdapterScheduler:
    def __init__(self, shard: Shard, options: Options) -> None:
        #: Set by what may make a batch possible: a request, an adapter's new status.
        self.notify = asyncio.Event()
        self.state = AdapterQueuesState(
            options.max_active_adapters, options.adapter_cycle_time_s, self.notify
        )
        self.loader = AdapterLoader(shard, self.state)

    def process(self, entry: Entry) -> None:
        """Take in a request."""
        if self.state.append(entry):
            self.loader.download(entry.adapter)
        self.notify.set()

    def remove_errored_adapters(self) -> None:
        for adapter in self.state.errored():
            self.loader.terminate(adapter)

    def next_batch(self, in_use: Set[Adapter], min_size: int | None) -> list[Entry]:
        """The requests to begin with; none if fewer than `min_size` wait, and then no adapter moves either."""
        waiting = len(self.state)
        if waiting == 0 or waiting < (min_size or 0):
            return []
        self._update_adapters(in_use)
        batch: list[Entry] = []
        while (entry := self.state.next_entry()) is not None:
            if entry.responses.is_closed:
                count("lorax_request_failure", err="dropped")
                continue
            entry.batch_time = time.monotonic()
            batch.append(entry)
        if len(batch) < (min_size or 0):
            for entry in reversed(batch):
                self.state.queue_map[entry.adapter].entries.appendleft(entry)
            return []
        return batch

    def _update_adapters(self, in_use: Set[Adapter]) -> None:
        for adapter in self.state.errored():
            self.loader.terminate(adapter)
            self.state.untrack(adapter)
        offload, load = self.state.update_adapters(in_use)
        for adapter in offload:
            self.loader.offload(adapter)
        for adapter in load:
            self.loader.load(adapter)
