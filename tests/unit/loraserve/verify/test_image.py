"""The digest of the image that serves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loraserve.finding import State
from loraserve.verify.image import check_image
from tests.unit.loraserve.stubbed_cloud import THEN, Cloud
from tests.unit.loraserve.verify.made import PROD, SERVING, expected

A, B = (f"sha256:{letter * 64}" for letter in "ab")


def variant(*digests: str) -> dict[str, Any]:
    repository = "333333333333.dkr.ecr.us-east-1.amazonaws.com/assets"
    images = [
        {
            "SpecifiedImage": f"{repository}:tag",
            "ResolvedImage": f"{repository}@{digest}",
            "ResolutionTime": THEN,
        }
        for digest in digests
    ]
    return {"VariantName": "AllTraffic", "DeployedImages": images}


@pytest.mark.parametrize(
    ("digests", "wanted", "state"),
    [
        ([A], A, State.OK),
        ([A, A], A, State.OK),
        ([B], A, State.PROBLEM),
        ([], A, State.UNKNOWN),
        ([A], None, State.UNKNOWN),
    ],
)
def test_the_digest_is_compared(digests: list[str], wanted: str | None, state: State) -> None:
    cloud = Cloud()
    with cloud.stubbed():
        cloud.endpoint(ProductionVariants=[variant(*digests)])
        [found] = check_image(PROD, cloud, replace(expected(Serving=SERVING), image_digest=wanted))
    assert found.state is state
