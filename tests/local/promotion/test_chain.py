"""A release from dev over staging to prod: three accounts, enforced IAM, no Hub, one build of the image.

The stages begin empty: the first release fills dev, the second staging, the third prod, each time after the
adapters of the stage before were locked. The fourth changes the image and goes to prod under load.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from loraserve.release.record import DeploymentKind, Outcome
from loraserve.release.release import Release, read_release
from tests.harness.promotion import ACCOUNTS, ADAPTERS, Promotion, promotion
from tests.local.promotion.kills import change, check, kill_and_go_on
from tests.local.promotion.load import StageCallers, served_revisions
from tests.local.promotion.records import current

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promotion]:
    with promotion(tmp_path_factory.mktemp("chain")) as running:
        running.prepare_accounts()
        yield running


@pytest.fixture(scope="module")
def third(made: Promotion) -> Path:
    """The release that every stage has."""
    first = made.release("first")
    made.promote("dev", first)
    made.lock("dev", "staging")
    second = made.release("second")
    made.promote("dev", second)
    made.run("staging", *made.promotion_of("staging", second), "--no-invoke")
    # An endpoint that was not asked is not verified: prod would not take the release.
    assert current(made, "staging").outcome is Outcome.UNVERIFIED
    made.lock("staging", "prod")
    third = made.release("third")
    for stage in ACCOUNTS:
        made.promote(stage, third)
    return third


def test_all_stages_have_one_release(made: Promotion, third: Path) -> None:
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
    assert len(made.builds()) == 1


def test_all_stages_serve_the_same_revisions(made: Promotion, third: Path) -> None:
    served = {stage: served_revisions(made, stage) for stage in ACCOUNTS}
    assert sorted(served["dev"]) == sorted(ADAPTERS)
    assert served["dev"] == served["staging"] == served["prod"]


@pytest.fixture(scope="module")
def fourth(made: Promotion, third: Path) -> Path:
    """A release with another image, which no stage has."""
    return change(made, 1)


def test_a_promotion_that_is_killed_goes_on(made: Promotion, fourth: Path) -> None:
    """At two points of twenty: `python -m tests.local.promotion.kills` has the others."""
    with StageCallers(made, "dev", served_revisions(made, "dev")) as callers:
        kills = list(kill_and_go_on(made, fourth, 2, random.Random(16)))
    assert [kill.ended for kill in kills] == [False] * 2, kills
    check(made, fourth, callers)


def test_a_release_goes_to_prod_under_load_and_back(made: Promotion, fourth: Path) -> None:
    before = current(made, "prod")
    made.promote("staging", fourth)
    with StageCallers(made, "prod", served_revisions(made, "prod")) as callers:
        made.promote("prod", fourth)
        after = current(made, "prod")
        made.run("prod", "rollback", "prod", "--reason", "the test")
    assert (callers.lost, callers.wrong) == ([], [])
    assert all(callers.answers.get(model, 0) > 5 for model in (None, *ADAPTERS)), callers.answers
    # A run of dev that was killed between build and push has built it again.
    assert len(set(made.builds())) == 2
    assert after.image_digest != before.image_digest
    back = current(made, "prod")
    assert (back.kind, back.outcome, back.release) == (
        DeploymentKind.ROLLBACK,
        Outcome.VERIFIED,
        before.release,
    )
    assert back.image_digest == before.image_digest == made.image_digest("prod")
    assert "the test" in made.run("prod", *made.promotion_of("prod", fourth), status=1)
