"""The second handler of the seeding custom resource, which does the work.

CloudFormation's waiter calls it until it says that all is done; each call goes on from what is in the bucket,
so that neither the size of a seeding nor a killed function matters. The event is never logged: it holds the
URL with which anybody could answer for this resource.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.source import HubSource
from adapters.transfer import OutOfTime
from lambdas.adapter_seeder.archive import Archive
from lambdas.adapter_seeder.base_model import ModelFiles, hub_model, packed_model
from lambdas.adapter_seeder.desired import Desired
from lambdas.adapter_seeder.emptying import empty
from lambdas.adapter_seeder.hub import Hub
from lambdas.adapter_seeder.properties import Properties
from lambdas.adapter_seeder.s3_files import S3File
from lambdas.adapter_seeder.seeding import CONNECTIONS, Seeding

#: Work stops this long before Lambda's own limit, so that the answer still gets out.
MARGIN_MILLISECONDS = 60_000


class SecretUnreadable(Exception):
    """The Hub token's secret cannot be read; the message never holds any of its content."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do the work of the event; a failure's message has every bad adapter's reason and remedy."""
    properties = Properties.read(event["ResourceProperties"])

    def has_time() -> bool:
        return bool(context.get_remaining_time_in_millis() > MARGIN_MILLISECONDS)

    try:
        if event["RequestType"] == "Delete":
            # Nothing is unpublished: the bucket goes with all it holds, or stays as it is.
            if properties.retain_data == "false":
                empty(boto3.client("s3"), properties.bucket, has_time=has_time)
            return {"IsComplete": True}
        return _seed(properties, has_time)
    except OutOfTime:
        return {"IsComplete": False}


def _seed(properties: Properties, has_time: Callable[[], bool]) -> dict[str, Any]:
    s3 = boto3.client("s3", config=Config(max_pool_connections=CONNECTIONS))
    archive = Archive(S3File(s3, properties.manifest_bucket, properties.manifest_key))
    desired = Desired.read(archive)
    hub = Hub(properties.hub_endpoint, _token(properties.hub_token_secret), has_time=has_time)

    def base_model() -> ModelFiles:
        if not properties.base_model_revision:
            return packed_model(properties.base_model, archive, desired.model_sha256)
        source = HubSource(properties.base_model, properties.base_model_revision)
        return hub_model(hub, source, with_code=properties.trust_remote_code == "true")

    report = Seeding(
        s3,
        properties.bucket,
        owner=properties.owner,
        manifest=properties.manifest_key,
        desired=desired,
        rules=properties.rules,
        hub=hub,
        base_model=base_model,
        base_revision=properties.base_model_revision or properties.model_prefix,
        model_prefix=properties.model_prefix or None,
        has_time=has_time,
    ).run()
    print(report.to_json())
    return {
        "IsComplete": True,
        "Data": {"Adapters": str(report.adapters), "BytesMoved": str(report.bytes_moved)},
    }


def _token(secret: str) -> str | None:
    """The Hub token, read when it is needed and kept nowhere."""
    if not secret:
        return None
    try:
        value = (
            boto3.client("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", "").strip()
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise SecretUnreadable(
            f"hub_token_secret: the secret {secret!r} cannot be read ({code}); create it in this account and "
            "region with a Hub read token as its plain text"
        ) from None
    if not value or any(character.isspace() or character in "{}\"'" for character in value):
        raise SecretUnreadable(
            f"hub_token_secret: the secret {secret!r} holds no token; store the token as plain text, no JSON"
        )
    return str(value)
