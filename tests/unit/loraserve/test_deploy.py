"""Stacks that a deployment looks at first."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
from botocore.stub import Stubber

from loraserve.deploy import _never_made
from stacks.config.loading import load_stages
from stacks.project import ROOT


def test_the_stacks_of_a_stage_whose_name_begins_alike_are_left_alone() -> None:
    [dev] = load_stages(ROOT / "stages", "dev")
    dev2 = dev.model_copy(update={"name": "dev2"})
    client = boto3.Session("key", "secret", region_name="us-east-1").client("cloudformation")
    stacks = [
        {"StackName": stage.stack_name(name), "CreationTime": datetime.now(UTC), "StackStatus": status}
        for stage in (dev, dev2)
        for name, status in (("AdapterStore", "CREATE_COMPLETE"), ("Serving", "ROLLBACK_COMPLETE"))
    ]
    with Stubber(client) as stub:
        stub.add_response("describe_stacks", {"Stacks": stacks})
        assert _never_made(client, dev.target) == ["LoraServing-Dev-Serving"]
