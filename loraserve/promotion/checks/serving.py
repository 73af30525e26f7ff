"""The endpoint before it is replaced: it serves the config of its stack."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.aws import Client
from loraserve.finding import Finding, ok
from loraserve.verify.endpoint import live_endpoint
from loraserve.verify.serving import check_config
from stacks.config.stage_target import StageTarget


def check_serving(target: StageTarget, client: Client) -> Iterator[Finding]:
    """Check the config of an endpoint that is in service; its other statuses are another check's."""
    live = live_endpoint(client("sagemaker"), target.endpoint_name)
    if live is None:
        yield ok("config", f"{target.endpoint_name} is not there yet")
    elif live["EndpointStatus"] == "InService":
        yield from check_config(target, client)
