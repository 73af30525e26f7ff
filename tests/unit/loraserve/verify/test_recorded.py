"""Expected state of a stage, by its record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loraserve.release.record import DeploymentKind, DeploymentRecord, Outcome
from loraserve.release.release import to_json
from loraserve.verify.recorded import expected_of_record
from tests.unit.loraserve.stubbed_cloud import THEN, Cloud, body
from tests.unit.loraserve.verify.made import PROD, SERVING

DIGEST = f"sha256:{'a' * 64}"


def record(release: str | None) -> DeploymentRecord:
    return DeploymentRecord(
        stage="prod",
        account="333333333333",
        region="us-east-1",
        kind=DeploymentKind.BY_HAND,
        outcome=Outcome.VERIFIED,
        release=release,
        commit="1a2b3c4",
        tar_sha256=None,
        started="2026-11-27T20:00:00Z",
        ended="2026-11-27T20:10:00Z",
        image_digest=DIGEST,
    )


def ledger(cloud: Cloud, content: bytes) -> None:
    cloud.bucket()
    metadata: dict[str, Any] = {
        "HTTPHeaders": {"date": "Fri, 27 Nov 2026 20:00:00 GMT"},
        "HTTPStatusCode": 200,
    }
    answer = {"ETag": '"1"', "LastModified": THEN, "ResponseMetadata": metadata, **body(content)}
    cloud.answers("s3", "get_object", answer)


def stacks(cloud: Cloud) -> None:
    stack = {
        "StackName": PROD.endpoint_name,
        "CreationTime": THEN,
        "StackStatus": "UPDATE_COMPLETE",
    }
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})
    cloud.answers("cloudformation", "get_template", {"TemplateBody": json.dumps(SERVING)})


def test_after_a_deployment_by_hand_the_stacks_and_the_recorded_image_are_expected(cloud: Cloud) -> None:
    ledger(cloud, to_json(record(None)))
    stacks(cloud)
    found = expected_of_record(PROD, cloud, pytest.fail)
    assert (found.image_digest, found.release, list(found.stacks)) == (DIGEST, None, ["Serving"])


def test_a_record_that_cannot_be_read_is_reported_and_the_stacks_are_expected(cloud: Cloud) -> None:
    ledger(cloud, b"{")
    stacks(cloud)
    said: list[str] = []
    found = expected_of_record(PROD, cloud, said.append)
    assert (found.image_digest, list(found.stacks)) == (None, ["Serving"])
    assert said[0].startswith("compared with the deployed stacks only: ")
