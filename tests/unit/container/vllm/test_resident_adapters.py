"""Adapters in slots and host memory, counted and pinned, with vLLM's own LRU caches."""

from typing import Any

import pytest


@pytest.fixture(scope="module")
def managers() -> Any:
    """`managers_without_weights`. Each worker collects this file, and vLLM takes 17 s to import."""
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from tests.unit.container.vllm import managers_without_weights  # noqa: PLC0415 — see above

    return managers_without_weights


def test_requests_loads_and_evictions_are_counted_for_each_adapter(managers: Any) -> None:
    subject = managers.Ours(slots=2, memory=3)
    for number in (1, 2, 3, 1, 1, 4):
        assert managers.step(subject, number)
    # 3 takes 1's slot, 1 comes back from host memory for 2, and 4 drops 2 from there.
    assert managers.uses(subject, "a1") == {
        "disk_loads": 1,
        "memory_hits": 1,
        "slot_hits": 1,
        "slot_evictions": 1,
    }
    assert managers.uses(subject, "a2") == {"disk_loads": 1, "slot_evictions": 1, "memory_evictions": 1}
    assert subject.report()["slots"] == ["a4", "a1"] or subject.report()["slots"] == ["a1", "a4"]
    assert set(subject.report()["memory"]) == {"a1", "a3", "a4"}


@pytest.mark.parametrize("memory", [4, 6])
def test_a_pinned_adapter_stays_while_others_take_all_other_slots(managers: Any, memory: int) -> None:
    subject = managers.Ours(slots=4, memory=memory)
    assert managers.step(subject, 1)
    assert subject.pin_adapter(1)
    for first in range(2, 20):
        assert managers.step(subject, first, first + 1, first + 2)
        assert "a1" in subject.report()["slots"]
    assert managers.uses(subject, "a1") == {"disk_loads": 1}


@pytest.mark.parametrize("memory", [4, 6])
def test_pins_give_way_to_a_step_that_needs_all_slots_and_come_back(managers: Any, memory: int) -> None:
    subject = managers.Ours(slots=4, memory=memory)
    managers.step(subject, 1, 2)
    assert subject.pin_adapter(1)
    assert subject.pin_adapter(2)
    assert managers.step(subject, 3, 4, 5, 6), "each request of the step has its adapter in a slot"
    assert managers.step(subject, 3, 4)
    assert {"a1", "a2"} <= set(subject.report()["slots"])
    assert managers.step(subject, 7, 8)
    assert {"a1", "a2"} <= set(subject.report()["slots"]), "they are pinned again"


def test_with_vllms_own_pins_such_a_step_has_an_adapter_without_a_slot(managers: Any) -> None:
    subject = managers.Vllms(slots=4, memory=6)
    managers.step(subject, 1, 2)
    assert subject.pin_adapter(1)
    assert subject.pin_adapter(2)
    assert not managers.step(subject, 3, 4, 5, 6)


def test_at_most_half_of_the_slots_is_pinned_and_no_unknown_adapter(managers: Any) -> None:
    subject = managers.Ours(slots=4, memory=4)
    managers.step(subject, 1, 2, 3)
    assert [subject.pin_adapter(number) for number in (1, 2, 2, 3, 9)] == [True, True, True, False, False]
    assert subject.remove_adapter(1)
    assert subject.pin_adapter(3)
    assert set(subject.report()["pinned"]) == {"a2", "a3"}


def test_removing_an_adapter_frees_slot_and_memory(managers: Any) -> None:
    subject = managers.Ours(slots=2, memory=2)
    managers.step(subject, 1, 2)
    assert subject.remove_adapter(1)
    assert not subject.remove_adapter(1)
    assert (subject.report()["slots"], subject.report()["memory"]) == (["a2"], ["a2"])
    assert None in subject._adapter_manager.lora_index_to_id
