"""A stubbed account for the tests of the verification, which wait for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loraserve.verify import alarms, answers, drift, endpoint, traffic
from tests.unit.loraserve.stubbed_cloud import Cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for module in (alarms, answers, drift, endpoint, traffic):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    made = Cloud()
    with made.stubbed():
        yield made
