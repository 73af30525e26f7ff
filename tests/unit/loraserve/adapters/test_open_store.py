"""A store that cannot be opened: the remedy is the command that works for this stage."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from loraserve.adapters.open_store import open_store
from loraserve.errors import NotDeployed
from stacks.config.stage_target import StageTarget

_KEYS = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "region_name": "us-east-1"}


class Session:
    """boto3's session in an account without stacks."""

    def __init__(self, **_: Any) -> None:
        pass

    def client(self, service: str, **_: Any) -> Any:
        client = boto3.client(service, **_KEYS)
        stubber = Stubber(client)
        if service == "cloudformation":
            stubber.add_client_error("describe_stacks", "ValidationError", "Stack does not exist")
        if service == "sts":
            stubber.add_response("get_caller_identity", {"Account": "111111111111"})
        stubber.activate()
        return client


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loraserve.adapters.open_store.boto3", SimpleNamespace(Session=Session))


@pytest.mark.parametrize(("stage", "command"), [("dev", "deploy"), ("prod", "promote")])
def test_a_stage_that_is_not_deployed_is_named_with_its_command(stage: str, command: str) -> None:
    with pytest.raises(NotDeployed, match=f"deploy it with 'make {command} STAGE={stage}'$"):
        open_store(stage, None)


def test_other_credentials_are_refused_with_the_option_of_this_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stacks.config.stage_config.LoadedStage.target",
        StageTarget(name="prod", account="222222222222", region="us-east-1"),
    )
    with pytest.raises(
        NotDeployed, match=r"are of 111111111111: name a profile of 222222222222 with --taking-profile$"
    ):
        open_store("prod", None, profile_option="--taking-profile")
