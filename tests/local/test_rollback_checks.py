"""The release to which a stage is rolled back, its hold, and what it must still have, in the laptop cloud's S3."""

from typing import Any

import pytest

from laptop_cloud.cloud import LaptopCloud
from loraserve.finding import State
from loraserve.images.ecr_copy import ImageRepository
from loraserve.promotion.checks.hold import check_hold
from loraserve.promotion.checks.kept import check_kept_adapters, check_kept_image, check_kept_release
from loraserve.promotion.rollback import NoWayBack, record_of, release_before
from loraserve.release.ledger import Ledger
from loraserve.release.record import DeploymentRecord
from tests.harness.bucket import Bucket
from tests.unit.loraserve.doctor.aws_answers import answering
from tests.unit.loraserve.promotion.records import record as recorded
from tests.unit.loraserve.promotion.records import release as described

NEW, OLD, FIRST = "2026-11-27-ccccccc", "2026-11-26-bbbbbbb", "2026-11-25-aaaaaaa"


@pytest.fixture
def bucket(laptop: LaptopCloud) -> Bucket:
    return Bucket(laptop.client("s3"))


@pytest.fixture
def ledger(laptop: LaptopCloud, bucket: Bucket) -> Ledger:
    return Ledger(laptop.client("s3"), bucket.name, "prod")


def write(ledger: Ledger, *deployments: tuple[str | None, str] | tuple[str | None, str, str]) -> None:
    """Write records of these releases, outcomes and kinds, one a minute; each has its own template."""
    for minute, (release, outcome, *given) in enumerate(deployments):
        kind = given[0] if given else "by-hand" if release is None else "promotion"
        made: dict[str, Any] = {
            "stage": "prod", "account": "333333333333", "region": "us-east-1", "kind": kind, "outcome": outcome,
            "release": release, "commit": "0" * 40, "tar_sha256": None, "image_digest": f"sha256:{release}",
            "started": f"2026-11-27T12:{minute:02}:00Z", "ended": f"2026-11-27T12:{minute:02}:30Z",
            "templates": {} if outcome == "failed" else {"Serving": str(release)},
        }  # fmt: skip
        ledger.write(DeploymentRecord.model_validate(made))


def deployed(ledger: Ledger) -> dict[str, str]:
    """Return the templates of the current record, and one that an earlier stage file left."""
    current = ledger.current()
    return {"Network": "left", **(current.templates if current else {})}


@pytest.mark.parametrize(
    ("deployments", "previous"),
    [
        (((FIRST, "verified"), (OLD, "verified"), (NEW, "verified")), OLD),
        (((OLD, "verified"), (NEW, "unverified")), OLD),
        (((FIRST, "verified"), (OLD, "unverified"), (NEW, "verified")), FIRST),
        # It serves, or CloudFormation does not know that it does.
        (((FIRST, "verified"), (OLD, "verified"), (NEW, "failed")), OLD),
        (((OLD, "verified"), (None, "verified")), OLD),
        (((OLD, "verified"), (NEW, "verified"), (NEW, "verified")), OLD),
        # What was rolled back is wrong: a second rollback goes further back, or ends the first one.
        (((FIRST, "verified"), (OLD, "verified"), (NEW, "verified"), (OLD, "verified", "rollback")), FIRST),
        (((FIRST, "verified"), (OLD, "verified"), (NEW, "verified"), (OLD, "unverified", "rollback")), OLD),
        (((OLD, "verified"), (NEW, "verified"), (OLD, "verified", "rollback"), (None, "verified")), OLD),
        (((OLD, "verified"), (NEW, "unverified"), (OLD, "verified", "rollback"), (NEW, "verified")), OLD),
    ],
)
def test_the_release_before(
    ledger: Ledger,
    deployments: tuple[tuple[str | None, str] | tuple[str | None, str, str], ...],
    previous: str,
) -> None:
    write(ledger, *deployments)
    assert release_before(ledger, deployed(ledger)) == previous


def test_after_a_deployment_without_a_record_the_current_release_is_deployed_again(ledger: Ledger) -> None:
    write(ledger, (FIRST, "verified"), (OLD, "verified"))
    # A run that deployed NEW was killed before it wrote its record.
    assert release_before(ledger, {"Serving": NEW}) == OLD


@pytest.mark.parametrize(
    "deployments",
    [
        (),
        ((NEW, "verified"),),
        ((None, "verified"),),
        ((OLD, "verified"), (NEW, "verified"), (OLD, "verified", "rollback")),
    ],
)
def test_a_stage_without_an_earlier_release(
    ledger: Ledger, deployments: tuple[tuple[str | None, str] | tuple[str | None, str, str], ...]
) -> None:
    write(ledger, *deployments)
    with pytest.raises(NoWayBack, match=r"its bucket has no other one: name one with --to, or check"):
        release_before(ledger, deployed(ledger))


def test_the_record_of_a_release_is_its_last_that_served(ledger: Ledger) -> None:
    write(ledger, (OLD, "verified"), (NEW, "verified"), (OLD, "failed"))
    found = record_of(ledger, OLD)
    assert found is not None and found.started == "2026-11-27T12:00:00Z"
    assert record_of(ledger, FIRST) is None


def test_a_held_stage_refuses_releases_with_the_reason(ledger: Ledger) -> None:
    assert [finding.state for finding in (*check_hold(None), *check_hold(ledger))] == [State.OK, State.OK]
    ledger.set_hold("rolled back to release x: wrong answers", "run 7")
    [held] = check_hold(ledger)
    assert held.state is State.PROBLEM and held.found.endswith(
        "by run 7: rolled back to release x: wrong answers"
    )
    assert "release resume prod" in held.remedy
    ledger.resume()
    assert next(iter(check_hold(ledger))).state is State.OK


@pytest.mark.parametrize(
    ("served", "state"),
    [
        (recorded(), State.OK),
        (recorded(tar_sha256="b" * 64), State.PROBLEM),
        (recorded(commit="1111111" + "2" * 33), State.PROBLEM),
        (None, State.WARNING),
    ],
)
def test_the_stored_release_is_the_one_that_served(served: DeploymentRecord | None, state: State) -> None:
    [finding] = check_kept_release(described(), served)
    assert finding.state is state


def test_adapters_of_an_earlier_release_may_have_expired(ledger: Ledger, bucket: Bucket) -> None:
    otter, heron = bucket.register("otter", "otter"), bucket.register("heron", "heron")
    digests: dict[str, str | None] = {"otter": otter.digest, "heron": heron.digest}
    [there] = check_kept_adapters(ledger, digests)
    assert there.state is State.OK and "all 2" in there.found
    [unknown] = check_kept_adapters(ledger, digests | {"hub": None})
    assert unknown.state is State.UNKNOWN and "1 without one" in unknown.found
    bucket.delete(f"{heron.prefix}adapter_model.safetensors")
    [gone] = check_kept_adapters(ledger, digests)
    assert gone.state is State.PROBLEM and "of heron have expired in the store of prod" in gone.found
    assert "--to" in gone.remedy


@pytest.mark.parametrize(
    ("digest", "state", "text"),
    [
        ("1", State.OK, "is in"),
        ("2", State.PROBLEM, "served"),
        (None, State.PROBLEM, "has no image with the tag t any more"),
    ],
)
def test_the_image_of_an_earlier_release_may_be_gone(digest: str | None, state: State, text: str) -> None:
    served = f"sha256:{'1' * 64}"
    images = (
        [] if digest is None else [{"imageId": {"imageDigest": f"sha256:{digest * 64}", "imageTag": "t"}}]
    )
    failures = [] if images else [{"imageId": {"imageTag": "t"}, "failureCode": "ImageNotFound"}]
    with answering("ecr", ("batch_get_image", {"images": images, "failures": failures})) as client:
        [finding] = check_kept_image(ImageRepository(client("ecr"), "333333333333", "assets"), "t", served)
    assert finding.state is state and text in finding.found
