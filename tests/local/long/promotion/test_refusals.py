"""Promotions that are refused or fail: each names the reason, and the old release serves, verified."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from loraserve.release.record import Outcome
from loraserve.release.release import read_release
from tests.harness.promotion import Promotion, promotion
from tests.local.long.promotion.records import current, records

#: An alarm that rolls an update back, its metric, and the seconds for which a point of it counts.
ALARM, METRIC, PERIOD_S = "LoraServing-Dev-Serving-wrong-adapter", "WrongAdapters", 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promotion]:
    with promotion(tmp_path_factory.mktemp("refusals")) as running:
        running.prepare_accounts()
        yield running


@pytest.fixture(scope="module")
def releases(made: Promotion) -> dict[str, Path]:
    """An old release, the one that dev has, and a new one, whose update pauses before the old fleet is gone."""
    found = {"old": made.release("old")}
    (made.clone / "current").write_text("the current one")
    made.commit("the current one")
    found["current"] = made.release("current")
    made.edit(
        "dev",
        gateway={"metrics_seconds": 20},
        rollout={"strategy": "all_at_once", "bake_seconds": 60, "step_seconds": 1},
    )
    made.commit("another configuration")
    found["new"] = made.release("new")
    made.run("dev", *made.promotion_of("dev", found["current"]), "--no-invoke")
    # No stage takes a release whose endpoint was not asked.
    assert current(made, "dev").outcome is Outcome.UNVERIFIED
    made.promote("dev", found["current"])
    return found


@pytest.fixture(autouse=True)
def _old_release_serves(made: Promotion, releases: dict[str, Path]) -> Iterator[None]:
    """After each test, dev serves the current release, and its record says so."""
    yield
    made.run("dev", "verify", "dev", "--release", str(releases["current"]), "--no-invoke")
    release = read_release(releases["current"] / "release.json")
    assert (current(made, "dev").release, current(made, "dev").outcome) == (release.release, Outcome.VERIFIED)


@contextmanager
def in_alarm(made: Promotion) -> Iterator[None]:
    """Emit wrong answers in the block, and wait until none of them counts any more."""
    cloudwatch, ended = made.client("dev", "cloudwatch"), threading.Event()
    point = {
        "MetricName": METRIC,
        "Value": 1,
        "Dimensions": [
            {"Name": "Endpoint", "Value": made.target("dev").endpoint_name},
            {"Name": "Variant", "Value": "AllTraffic"},
        ],
    }

    def emit() -> None:
        while True:
            cloudwatch.put_metric_data(Namespace="LoraServing", MetricData=[point])
            if ended.wait(5):
                return

    with ThreadPoolExecutor(1) as pool:
        emitting = pool.submit(emit)
        try:
            yield
        finally:
            ended.set()
            emitting.result()
            time.sleep(PERIOD_S + 1)
            cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="test")


def test_credentials_of_another_account(made: Promotion, releases: dict[str, Path]) -> None:
    said = made.run("dev", *made.promotion_of("staging", releases["current"]), status=1)
    assert "the credentials are of 111111111111, the stage is of 222222222222" in said


def test_the_stage_before_has_another_release(made: Promotion, releases: dict[str, Path]) -> None:
    said = made.run("staging", *made.promotion_of("staging", releases["new"]), status=1)
    new = read_release(releases["new"] / "release.json").release
    assert f"not release {new} with the same archive" in " ".join(said.split())
    assert not made.outputs("staging")


def test_an_older_release(made: Promotion, releases: dict[str, Path]) -> None:
    said = made.run("dev", *made.promotion_of("dev", releases["old"]), status=1)
    assert "is older: this would be a rollback" in " ".join(said.split())


def test_a_held_stage(made: Promotion, releases: dict[str, Path]) -> None:
    hold = {"schema": 1, "reason": "wrong answers", "by": "run 7", "since": "2026-11-27T12:00:00Z"}
    place = {"Bucket": made.outputs("dev")["AdapterBucket"], "Key": "releases/hold.json"}
    made.client("dev", "s3").put_object(**place, Body=json.dumps(hold).encode())
    said = made.run("dev", *made.promotion_of("dev", releases["new"]), status=1)
    assert "by run 7: wrong answers" in " ".join(said.split())
    made.run("dev", "release", "resume", "dev")


def test_an_alarm_during_the_rollout_and_before_the_next(made: Promotion, releases: dict[str, Path]) -> None:
    sagemaker, endpoint = made.client("dev", "sagemaker"), made.target("dev").endpoint_name

    with ThreadPoolExecutor(1) as pool:
        promoting = pool.submit(made.run, "dev", *made.promotion_of("dev", releases["new"]), status=1)
        while sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] != "Updating":
            assert not promoting.done(), promoting.result()
            time.sleep(0.2)
        with in_alarm(made):
            said = promoting.result()
            refused = made.run("dev", *made.promotion_of("dev", releases["new"]), status=1)
    flat = " ".join(said.split())
    assert f"in ALARM: {ALARM}" in flat and "what served before, serves" in flat
    assert f"in ALARM: {ALARM}" in refused and "is not promoted to dev" in refused
    failed = records(made, "dev")[-1]
    assert failed.outcome is Outcome.FAILED and ALARM in failed.reason
    assert failed.release == read_release(releases["new"] / "release.json").release
    found = {line.check: line.state for line in failed.verification}
    assert found["config"] == found["autoscaling"] == "ok"
