"""Assembly of the seeder: the AWS clients, the Hub and the value objects that a seeding needs."""

from __future__ import annotations

from collections.abc import Callable

from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.source import HubSource
from ingest.archive import Archive
from ingest.base_model import open_base_model
from ingest.hub import Hub
from ingest.hub_token import plain_token
from ingest.model_files import ModelFiles, packed_model
from ingest.s3_object import S3File
from lambdas.adapter_seeder.desired_state import DesiredState
from lambdas.adapter_seeder.iam_propagation import IamPropagation
from lambdas.adapter_seeder.properties import Properties
from lambdas.adapter_seeder.removals import is_rollback
from lambdas.adapter_seeder.seeder import CONNECTIONS, Seeder
from lambdas.adapter_seeder.served_model import ServedModel

#: DescribeStacks is throttled in accounts that deploy many stacks at once.
_PATIENT = Config(retries={"mode": "standard", "max_attempts": 10})


class SecretUnreadable(Exception):
    """The secret with the Hub token cannot be read; the message never contains any of its content."""


def assemble_seeder(
    properties: Properties, stack_id: str, aws: IamPropagation, has_time: Callable[[], bool]
) -> Seeder:
    """Build the seeder of one event; raises `SecretUnreadable`, and boto3's errors.

    `stack_id` is the ARN of the stack that the event is from.
    """
    s3 = aws.client("s3", Config(max_pool_connections=CONNECTIONS))
    archive = Archive(S3File(s3, properties.manifest_bucket, properties.manifest_key))
    desired = DesiredState.read(properties.manifest_key, archive)
    hub = Hub(properties.hub_endpoint, _hub_token(properties.hub_token_secret, aws), has_time=has_time)
    return Seeder(
        s3,
        properties.bucket,
        owner=properties.owner,
        desired=desired,
        rules=properties.rules,
        base_model=_served_model(properties, desired, archive, hub),
        hub=hub,
        is_rollback=lambda: is_rollback(aws.client("cloudformation", _PATIENT), stack_id),
        has_time=has_time,
    )


def _served_model(properties: Properties, desired: DesiredState, archive: Archive, hub: Hub) -> ServedModel:
    def find() -> ModelFiles:
        if not properties.base_model_revision:
            return packed_model(properties.base_model, archive, desired.model_sha256)
        source = HubSource(properties.base_model, properties.base_model_revision)
        return open_base_model(
            source,
            hub,
            mirrored=bool(properties.model_prefix),
            with_code=properties.trust_remote_code == "true",
        )

    return ServedModel(
        find,
        # The prefix of a local model follows from its content.
        revision=properties.base_model_revision or properties.model_prefix,
        mirror_prefix=properties.model_prefix or None,
    )


def _hub_token(secret: str, aws: IamPropagation) -> str | None:
    """Return the Hub token; it is read for each event and stored nowhere."""
    if not secret:
        return None
    try:
        text = aws.client("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", "")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        remedy = "create it in this account and region with a Hub read token as its plain text"
        if code == "AccessDeniedException":
            remedy = "if it is encrypted with a dedicated key, name that key in the stage's decrypt_keys"
        raise SecretUnreadable(
            f"hub_token_secret: the secret {secret!r} cannot be read ({code}); {remedy}"
        ) from None
    token = plain_token(text)
    if token is None:
        raise SecretUnreadable(
            f"hub_token_secret: the secret {secret!r} holds no token; store the token as plain text, no JSON"
        )
    return token
