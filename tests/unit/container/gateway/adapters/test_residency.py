"""The engine's report of resident adapters."""

import asyncio

import pytest

from container.gateway.adapters import residency
from container.gateway.adapters.residency import USES, Residency, ResidencyReader

REPORT = {
    "slots": ["adapters/a/0/"],
    "memory": ["adapters/a/0/", "adapters/b/0/"],
    "pinned": [],
    "uses": {"adapters/a/0/": dict.fromkeys(USES, 2), "adapters/c/0/": dict.fromkeys(USES, 3)},
}


def test_a_report_is_read_and_summed() -> None:
    found = Residency.from_json(REPORT)
    assert found.slots < found.memory
    assert {found.total(use) for use in USES} == {5}


async def test_the_engine_is_asked_once_in_a_while_and_an_old_report_outlives_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(residency, "PATIENCE_SECONDS", 0.01)
    found = Residency.from_json(REPORT)
    answers: list[Residency | None] = [None, found, None]
    asked = 0

    async def report() -> Residency | None:
        nonlocal asked
        asked += 1
        if not answers:
            await asyncio.sleep(60)
        return answers.pop(0)

    reader = ResidencyReader(report)
    await reader.refresh()
    await reader.refresh()
    assert (asked, reader.latest) == (1, None)
    monkeypatch.setattr(residency, "FRESH_SECONDS", 0)
    for _ in range(3):
        await reader.refresh()
        assert reader.latest is found
    assert asked == 4, "the last one did not answer in time"
