"""The record of the stage before: of the same release, verified, old enough."""

from datetime import UTC, datetime

import pytest

from loraserve.finding import State
from loraserve.promotion.checks.previous_stage import check_previous, default_soak, soak_ends
from loraserve.promotion.giving import GivingStage
from tests.unit.loraserve.promotion.records import giving, record, release

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "soak", "state", "found"),
    [
        (giving(record()), 0, State.OK, "staging has 2026-11-27-1111111, verified"),
        (giving(record()), 1800, State.OK, "since 2026-11-27T12:00:00Z"),
        (giving(record()), 1801, State.WARNING, "for less than 1801 s"),
        (giving(None), 0, State.PROBLEM, "staging has no record"),
        (giving(record(outcome="unverified")), 0, State.PROBLEM, "unverified"),
        (giving(record(outcome="failed")), 0, State.PROBLEM, "failed"),
        (giving(record("2026-11-20-0000000", tar_sha256="b" * 64)), 0, State.PROBLEM, "2026-11-20-0000000"),
        # A description of another commit, beside the archive that was tested.
        (giving(record(commit="1111111" + "2" * 33)), 0, State.PROBLEM, "with the same archive and commit"),
        # The same name, of other bytes.
        (giving(record(tar_sha256="b" * 64)), 0, State.PROBLEM, "not release 2026-11-27-1111111"),
        (giving(record(None, kind="by-hand", tar_sha256=None)), 0, State.PROBLEM, "by-hand of 1111111"),
        (giving(None, "S3 refuses"), 0, State.PROBLEM, "cannot be read: S3 refuses"),
    ],
)
def test_the_stage_before_has_the_release_verified(
    before: GivingStage, soak: int, state: State, found: str
) -> None:
    [finding] = check_previous(release(), before, soak, NOW)
    assert finding.state is state and found in finding.found
    assert bool(finding.remedy) is (state is not State.OK)


def test_a_release_serves_for_an_hour_in_a_stage_that_is_not_the_first() -> None:
    assert default_soak(release(), "dev") == 0
    assert default_soak(release(), "staging") == 3600
    assert soak_ends(record(), 3600) == datetime(2026, 11, 27, 13, tzinfo=UTC)
