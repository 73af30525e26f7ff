"""A release from dev over staging to prod: three accounts, enforced IAM, no Hub, one build of the image.

The stages begin empty: the first release fills dev, the second staging, the third prod, each time after the
adapters of the stage before were locked. The second is killed in dev; the third goes to staging under load,
and back. `python -m tests.local.long.promotion.workflows` has an update of prod, by the workflow files.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from loraserve.release.record import DeploymentKind, Outcome
from loraserve.release.release import Release, read_release
from tests.harness.promotion import ACCOUNTS, ADAPTERS, Promotion, promotion
from tests.local.long.promotion.kills import change, check, kill_and_go_on
from tests.local.long.promotion.load import StageCallers, served_revisions
from tests.local.long.promotion.records import current


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promotion]:
    with promotion(tmp_path_factory.mktemp("chain")) as running:
        running.prepare_accounts()
        yield running


@pytest.fixture(scope="module")
def second(made: Promotion) -> Path:
    """A release with another image than dev has, and with adapters for staging."""
    made.promote("dev", made.release("first"))
    made.lock("dev", "staging")
    return change(made, 2)


@pytest.fixture(scope="module")
def third(made: Promotion, second: Path) -> Path:
    """A release with another image than staging has, and with adapters for prod; dev has it."""
    made.promote("dev", second)
    made.promote("staging", second)
    made.lock("staging", "prod")
    release = change(made, 3)
    made.promote("dev", release)
    return release


def test_a_promotion_that_is_killed_goes_on(made: Promotion, second: Path) -> None:
    """At two points of twenty: `python -m tests.local.long.promotion.kills` has the others."""
    with StageCallers(made, "dev", served_revisions(made, "dev")) as callers:
        kills = list(kill_and_go_on(made, second, 2, random.Random(16)))
    # A fast machine may end the second run before its point.
    assert not kills[0].ended, kills
    check(made, second, callers)


def test_a_release_reaches_every_stage_under_load(made: Promotion, third: Path) -> None:
    with StageCallers(made, "staging", served_revisions(made, "staging")) as callers:
        made.promote("staging", third)
        made.promote("prod", third)
    check_callers(callers)
    release: Release = read_release(third / "release.json")
    found = {stage: current(made, stage) for stage in ACCOUNTS}
    for stage, each in found.items():
        assert (each.stage, each.account, each.release) == (stage, ACCOUNTS[stage], release.release)
        assert (each.kind, each.outcome) == (DeploymentKind.PROMOTION, Outcome.VERIFIED)
        assert each.tar_sha256 == release.tar_sha256
        assert each.image_digest == made.image_digest(stage)
        assert each.adapters_sha256 == release.stages[stage].adapters_sha256
    assert len({each.image_digest for each in found.values()}) == 1
    assert [found[stage].promoted_from is not None for stage in ACCOUNTS] == [False, True, True]
    # A run of dev that was killed between build and push has built it again.
    assert len(set(made.builds())) == 3


def test_all_stages_serve_the_same_revisions(made: Promotion, third: Path) -> None:
    served = {stage: served_revisions(made, stage) for stage in ACCOUNTS}
    assert sorted(served["dev"]) == sorted(ADAPTERS)
    assert served["dev"] == served["staging"] == served["prod"]


def test_a_stage_goes_back_under_load_and_is_held(made: Promotion, second: Path, third: Path) -> None:
    left = current(made, "staging")
    with StageCallers(made, "staging", served_revisions(made, "staging")) as callers:
        made.run("staging", "rollback", "staging", "--reason", "the test")
    check_callers(callers)
    back = current(made, "staging")
    assert (back.kind, back.outcome, back.release) == (
        DeploymentKind.ROLLBACK,
        Outcome.VERIFIED,
        read_release(second / "release.json").release,
    )
    assert back.image_digest == made.image_digest("staging") != left.image_digest
    assert "the test" in made.run("staging", *made.promotion_of("staging", third), status=1)


def check_callers(callers: StageCallers) -> None:
    """Raise `AssertionError` unless every caller got the right answers."""
    assert (callers.lost, callers.wrong) == ([], [])
    assert all(callers.answers.get(model, 0) > 5 for model in (None, *ADAPTERS)), callers.answers
