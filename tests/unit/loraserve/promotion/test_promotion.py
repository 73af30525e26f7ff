"""A stage that has the release already, and the time for which it has to serve in the stage before."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from loraserve.promotion import promotion
from loraserve.promotion.checks.catalog import PlannedPromotion
from loraserve.promotion.giving import GivingStage
from loraserve.promotion.promotion import ChecksFailed, PromotionOptions, is_current, promote, soak_left
from loraserve.release.record import DeploymentRecord
from tests.unit.loraserve.promotion.records import giving, record, release


def planned(
    current: DeploymentRecord | None = None, before: GivingStage | None = None, soak: int = 0
) -> PlannedPromotion:
    """Plan the release for prod, which has this record."""
    ledger: Any = SimpleNamespace(current=lambda: current)
    opened: Any = SimpleNamespace(release=release())
    return PlannedPromotion(
        opened=opened,
        stage=release().stage("prod"),
        client=lambda *_: None,
        ledger=ledger,
        giving=before,
        soak=soak,
        accepted=(),
    )


@pytest.mark.parametrize(
    ("current", "deployed", "expected"),
    [
        (record(templates={"Serving": "1"}), {"Serving": "1", "Network": "left"}, True),
        # A later deployment failed after it had changed the stack of the adapters.
        (
            record(templates={"Serving": "1", "AdapterStore": "1"}),
            {"Serving": "1", "AdapterStore": "2"},
            False,
        ),
        (record(outcome="unverified"), {}, False),
        (record(tar_sha256="b" * 64), {}, False),
        (None, {}, False),
    ],
)
def test_a_stage_has_the_release_if_its_stacks_have_it(
    monkeypatch: pytest.MonkeyPatch,
    current: DeploymentRecord | None,
    deployed: dict[str, str],
    expected: bool,
) -> None:
    monkeypatch.setattr(promotion, "deployed_stacks", lambda *_: None)
    monkeypatch.setattr(promotion, "templates_sha256", lambda _: deployed)
    assert is_current(planned(current)) is expected


def test_a_stage_before_that_was_verified_again_meanwhile_has_a_new_soak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = datetime.now(UTC)
    old = giving(record(ended=(now - timedelta(hours=2)).isoformat()))
    again = giving(record(ended=now.isoformat()))
    assert soak_left(planned(before=old, soak=3600)) < timedelta() < soak_left(planned(before=again, soak=60))
    assert soak_left(planned(before=giving(record(outcome="unverified")), soak=3600)) == timedelta()
    monkeypatch.setattr(promotion, "wait_for_operations", lambda *_: None)
    monkeypatch.setattr(promotion, "_locked", lambda *_: promotion.nullcontext(SimpleNamespace()))
    monkeypatch.setattr(promotion, "planned", lambda *_: planned(before=again, soak=3600))
    arguments: Any = None
    with pytest.raises(ChecksFailed, match="'staging' was verified again while this run waited"):
        promote(Console(), Console(), planned(before=old, soak=3600), PromotionOptions(), arguments)
