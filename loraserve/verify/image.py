"""The image that the instances run, by its digest."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, unknown
from loraserve.verify.endpoint import live_endpoint
from loraserve.verify.expected import Expected
from stacks.config.stage_target import StageTarget


def check_image(target: StageTarget, client: Client, expected: Expected) -> Iterator[Finding]:
    """Compare the digest that SageMaker resolved (DescribeEndpoint, `ResolvedImage`)."""
    digest, wanted = serving_image_digest(target, client), expected.image_digest
    if digest is None:
        yield unknown("image", f"SageMaker names no digest of the image of {target.endpoint_name}")
    elif wanted is None:
        yield unknown("image", f"{digest}; not compared: no digest of it is recorded")
    elif digest != wanted:
        yield problem(
            "image",
            f"{digest} serves, and {wanted} was deployed",
            "the image's tag was pushed again: delete it in the repository and promote the release again",
        )
    else:
        yield ok("image", digest)


def serving_image_digest(target: StageTarget, client: Client) -> str | None:
    """Return `sha256:…` of the image that serves; None if SageMaker does not say, or for several images."""
    live = live_endpoint(client("sagemaker"), target.endpoint_name) or {}
    images = [
        image.get("ResolvedImage", "")
        for variant in live.get("ProductionVariants", [])
        for image in variant.get("DeployedImages", [])
    ]
    digests = {image.partition("@")[2] for image in images}
    return digests.pop() or None if len(digests) == 1 else None
