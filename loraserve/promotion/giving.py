"""The stage before, as the credentials of the stage that takes can read it.

In another account two things are needed, which the giving stage's own stacks make: a role that may describe
its adapter store's stack, because CloudFormation generated the bucket's name, and read images
(`stacks.deploy_roles`); and `store_readers`, by which the bucket's policy lets the taking stage read records.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from loraserve.adapters.open_store import deployed_bucket
from loraserve.aws import Client
from loraserve.errors import UserError
from loraserve.images.promoted_image import giving_client
from loraserve.release.ledger import Ledger
from loraserve.release.record import DeploymentRecord
from stacks.config.stage_target import StageTarget


@dataclass(frozen=True, kw_only=True)
class GivingStage:
    """The stage before."""

    target: StageTarget
    record: DeploymentRecord | None
    """The record of what serves there; None if there is none, or if it cannot be read."""
    bucket: str | None = None
    """Its store's bucket; None if it is not known."""
    refusal: str = ""
    """Reason for which the record cannot be read."""


def giving_stage(client: Client, giving: StageTarget, taking: StageTarget) -> GivingStage:
    """Read the record of what serves in the stage before; `client` is the taking stage's."""
    bucket = None
    try:
        bucket = deployed_bucket(giving_client(client, giving, taking)("cloudformation"), giving)
        s3 = client("s3", Config(region_name=giving.region))
        record = Ledger(s3, bucket, giving.name).current()
    except (UserError, BotoCoreError, ClientError) as error:
        return GivingStage(target=giving, record=None, bucket=bucket, refusal=str(error))
    return GivingStage(target=giving, record=record, bucket=bucket)
