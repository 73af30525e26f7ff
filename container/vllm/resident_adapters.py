"""vLLM's manager of the adapters in slots and host memory, with counts, and pins that give way in time.

`container.vllm.worker` puts it in the place of vLLM's own, which it extends. It calls the same methods of the
model's manager in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from vllm.config import VllmConfig
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager


@dataclass
class Uses:
    """Counts of one adapter since the start."""

    slot_hits: int = 0
    """Requests whose adapter was in a slot when their first step began."""
    memory_hits: int = 0
    """Requests for which it was copied from host memory to a slot."""
    disk_loads: int = 0
    """Times that its files were read and parsed, for a request or ahead of one."""
    slot_evictions: int = 0
    """Times that it lost its slot to another adapter."""
    memory_evictions: int = 0
    """Times that it was dropped from host memory, and from its slot, for another adapter."""


class ResidentAdapters(LRUCacheWorkerLoRAManager):
    """Both are LRU caches: every step touches the adapters of its requests."""

    def __init__(self, manager: LRUCacheWorkerLoRAManager, config: VllmConfig, device: torch.device) -> None:
        """Take over the adapters of `manager`."""
        super().__init__(config, device, manager.embedding_modules)
        # Any: its subclass with the LRU caches, which vLLM's annotation leaves open.
        self._adapter_manager: Any = manager._adapter_manager
        self._begin()

    def _begin(self) -> None:
        self._requests: dict[int, LoRARequest] = {}
        self._uses: defaultdict[str, Uses] = defaultdict(Uses)
        self._pinned: set[int] = set()

    def count_requests(self, adapters: Iterable[LoRARequest]) -> None:
        """Count the requests whose first step is about to run, by where their adapters are."""
        filled: set[int] = set()
        for adapter in adapters:
            number = adapter.lora_int_id
            if number in filled or number in self._adapter_manager.lora_index_to_id:
                self._uses[adapter.lora_name].slot_hits += 1
            elif number in self._adapter_manager.list_adapters():
                self._uses[adapter.lora_name].memory_hits += 1
            filled.add(number)

    def add_adapter(self, lora_request: LoRARequest) -> bool:
        """Have an adapter in host memory and in a slot; see vLLM's method."""
        number = lora_request.lora_int_id
        self._requests[number] = lora_request
        manager = self._adapter_manager
        slots = [*manager.lora_index_to_id]
        # To look for an adapter vLLM's own method copies the whole cache, for each adapter of each step: with
        # 500 adapters that takes 0.45 ms. `get_adapter` touches the adapter as vLLM's method does.
        if not lora_request.load_inplace and manager.get_adapter(number) is not None:
            manager.activate_adapter(number)
            if number not in slots:
                self._count_evictions(slots, ())
            return True
        memory = manager.list_adapters()
        loaded = super().add_adapter(lora_request)
        self._uses[lora_request.lora_name].disk_loads += 1
        self._count_evictions(slots, memory)
        return loaded

    def remove_adapter(self, adapter_id: int) -> bool:
        """Free slot and host memory of an adapter, a pinned one too."""
        self._pinned.discard(adapter_id)
        self._requests.pop(adapter_id, None)
        return super().remove_adapter(adapter_id)

    def pin_adapter(self, adapter_id: int) -> bool:
        """Keep an adapter in slot and host memory; return False for an unknown one, or for half of the slots.

        vLLM's pins alone end the engine once a step has requests for more other adapters than slots are left
        (`KeyError` in its `convert_mapping`): its scheduler counts slots, not pins. So they give way to such
        a step.
        """
        if adapter_id not in self._pinned:
            if adapter_id not in self._requests or len(self._pinned) >= self._adapter_manager.lora_slots // 2:
                return False
            self._pinned.add(adapter_id)
        self._pin(others=0)
        return True

    def report(self) -> dict[str, Any]:
        """Return the engine ids of the adapters in slots, in host memory, and pinned; and the counts."""
        return {
            "slots": self._names(number for number in self._adapter_manager.lora_index_to_id if number),
            "memory": self._names(self._adapter_manager.list_adapters()),
            "pinned": self._names(self._pinned),
            "uses": {name: asdict(uses) for name, uses in self._uses.items()},
        }

    def _apply_adapters(self, adapter_requests: set[Any]) -> None:
        """Have the adapters of a step in slots; vLLM calls it before each step."""
        if self._pinned:
            self._pin(others=len({each.lora_int_id for each in adapter_requests} - self._pinned))
        super()._apply_adapters(adapter_requests)

    def _pin(self, others: int) -> None:
        """Pin what is to be pinned, unless `others` adapters would then not fit."""
        manager, pinned = self._adapter_manager, self._pinned
        left = manager.lora_slots - len(pinned)
        if others > left:
            # Host memory has at least as many places: there they may stay if it has some more.
            manager._active_adapters.pinned_items -= pinned
            if others > manager.capacity - len(pinned):
                manager._registered_adapters.pinned_items -= pinned
            return
        for number in pinned:
            if number not in manager._active_adapters.pinned_items:
                self.add_adapter(self._requests[number])
                manager.pin_adapter(number)

    def _count_evictions(self, slots: Iterable[int | None], memory: Iterable[int]) -> None:
        """Count what is gone of the adapters that were in `slots` and in `memory`."""
        in_memory = self._adapter_manager.list_adapters()
        for number in memory:
            if number not in in_memory and number in self._requests:
                self._uses[self._requests[number].lora_name].memory_evictions += 1
        for number in filter(None, slots):
            if number in in_memory and number not in self._adapter_manager.lora_index_to_id:
                self._uses[self._requests[number].lora_name].slot_evictions += 1

    def _names(self, numbers: Iterable[int]) -> list[str]:
        return [self._requests[number].lora_name for number in numbers if number in self._requests]
