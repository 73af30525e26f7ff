"""The account that a stage is deployed to."""

from __future__ import annotations

from loraserve.aws import Client
from loraserve.doctor.caller import caller
from stacks.config.stage_config import LoadedStage


def account_of(stage: LoadedStage, client: Client) -> str:
    """Return the stage's account, by default the caller's; raises boto3's errors."""
    return stage.config.account or caller(client).account
