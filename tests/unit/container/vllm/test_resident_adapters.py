"""Adapters in slots and host memory, counted and pinned, with vLLM's own LRU caches."""

from collections.abc import Iterable
from typing import Any

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed")

from vllm.config import LoRAConfig
from vllm.lora.model_manager import AdapterLRUCache, LRUCacheLoRAModelManager
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from container.vllm.resident_adapters import ResidentAdapters


class Weights:
    """An adapter in host memory."""

    def __init__(self, number: int) -> None:
        self.id = number


class Slots(LRUCacheLoRAModelManager):
    """vLLM's manager of a model without modules: it has the slots and the caches, and no weights to copy."""

    def __init__(self, slots: int, memory: int) -> None:
        self.lora_config = LoRAConfig(max_loras=slots, max_cpu_loras=memory)
        self._registered_adapters = AdapterLRUCache(memory, self.deactivate_adapter)
        self._active_adapters = AdapterLRUCache(slots, self._deactivate_adapter)
        self.lora_index_to_id = [None] * slots
        self.modules = {}

    def _add_adapter(self, lora: Any) -> None:
        self._registered_adapters[lora.id] = lora


class NoFiles:
    """Loads an adapter without files."""

    def _load_adapter(self, lora_request: LoRARequest) -> Any:
        return Weights(lora_request.lora_int_id)


class Ours(NoFiles, ResidentAdapters):
    def __init__(self, slots: int, memory: int) -> None:
        self._adapter_manager = Slots(slots, memory)
        self._begin()


class Vllms(NoFiles, LRUCacheWorkerLoRAManager):
    def __init__(self, slots: int, memory: int) -> None:
        self._adapter_manager = Slots(slots, memory)


def requests(numbers: Iterable[int]) -> set[LoRARequest]:
    return {LoRARequest(f"a{number}", number, "/nowhere") for number in numbers}


def step(subject: LRUCacheWorkerLoRAManager, *numbers: int) -> bool:
    """Run a step of requests for these adapters; return whether each has a slot in it."""
    found = requests(numbers)
    if isinstance(subject, ResidentAdapters):
        subject.count_requests(found)
    subject.set_active_adapters(found, None)
    return set(numbers) <= set(subject._adapter_manager.lora_index_to_id)


def uses(subject: ResidentAdapters, name: str) -> dict[str, int]:
    found: dict[str, int] = subject.report()["uses"][name]
    return {use: count for use, count in found.items() if count}


def test_requests_loads_and_evictions_are_counted_for_each_adapter() -> None:
    subject = Ours(slots=2, memory=3)
    for number in (1, 2, 3, 1, 1, 4):
        assert step(subject, number)
    # 3 takes 1's slot, 1 comes back from host memory for 2, and 4 drops 2 from there.
    assert uses(subject, "a1") == {"disk_loads": 1, "memory_hits": 1, "slot_hits": 1, "slot_evictions": 1}
    assert uses(subject, "a2") == {"disk_loads": 1, "slot_evictions": 1, "memory_evictions": 1}
    assert subject.report()["slots"] == ["a4", "a1"] or subject.report()["slots"] == ["a1", "a4"]
    assert set(subject.report()["memory"]) == {"a1", "a3", "a4"}


@pytest.mark.parametrize("memory", [4, 6])
def test_a_pinned_adapter_stays_while_others_take_all_other_slots(memory: int) -> None:
    subject = Ours(slots=4, memory=memory)
    assert step(subject, 1)
    assert subject.pin_adapter(1)
    for first in range(2, 20):
        assert step(subject, first, first + 1, first + 2)
        assert "a1" in subject.report()["slots"]
    assert uses(subject, "a1") == {"disk_loads": 1}


@pytest.mark.parametrize("memory", [4, 6])
def test_pins_give_way_to_a_step_that_needs_all_slots_and_come_back(memory: int) -> None:
    subject = Ours(slots=4, memory=memory)
    step(subject, 1, 2)
    assert subject.pin_adapter(1)
    assert subject.pin_adapter(2)
    assert step(subject, 3, 4, 5, 6), "each request of the step has its adapter in a slot"
    assert step(subject, 3, 4)
    assert {"a1", "a2"} <= set(subject.report()["slots"])
    assert step(subject, 7, 8)
    assert {"a1", "a2"} <= set(subject.report()["slots"]), "they are pinned again"


def test_with_vllms_own_pins_such_a_step_has_an_adapter_without_a_slot() -> None:
    subject = Vllms(slots=4, memory=6)
    step(subject, 1, 2)
    assert subject.pin_adapter(1)
    assert subject.pin_adapter(2)
    assert not step(subject, 3, 4, 5, 6)


def test_at_most_half_of_the_slots_is_pinned_and_no_unknown_adapter() -> None:
    subject = Ours(slots=4, memory=4)
    step(subject, 1, 2, 3)
    assert [subject.pin_adapter(number) for number in (1, 2, 2, 3, 9)] == [True, True, True, False, False]
    assert subject.remove_adapter(1)
    assert subject.pin_adapter(3)
    assert set(subject.report()["pinned"]) == {"a2", "a3"}


def test_removing_an_adapter_frees_slot_and_memory() -> None:
    subject = Ours(slots=2, memory=2)
    step(subject, 1, 2)
    assert subject.remove_adapter(1)
    assert not subject.remove_adapter(1)
    assert (subject.report()["slots"], subject.report()["memory"]) == (["a2"], ["a2"])
    assert None in subject._adapter_manager.lora_index_to_id
