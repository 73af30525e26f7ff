"""The second handler of the seeding custom resource, which does the work.

CloudFormation's waiter calls it until it says that all is done; each call goes on from what is in the bucket.
A failure of the network or of AWS is waited for in the same way; bad adapters, and a function that is killed
for its memory, fail the deploy, and the next one goes on. The event is never logged: it holds the URL with
which anybody could answer for this resource.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from adapters.source import HubSource
from adapters.store.s3 import is_outage
from adapters.store.transfer import OutOfTime
from ingest.archive import Archive
from ingest.hub import Hub
from ingest.model_files import ModelFiles, hub_model, packed_model
from ingest.s3_object import S3File
from lambdas.adapter_seeder.desired_state import Desired
from lambdas.adapter_seeder.empty_bucket import empty
from lambdas.adapter_seeder.properties import Properties
from lambdas.adapter_seeder.seeder import CONNECTIONS, Seeding

#: Work stops this long before Lambda's own limit, so that the answer still gets out.
MARGIN_MILLISECONDS = 60_000


#: CloudFormation waits an hour for a custom resource.
DEADLINE_SECONDS = 55 * 60


class TookTooLong(Exception):
    """The seeding did not end in the time that CloudFormation gives it."""


class SecretUnreadable(Exception):
    """The Hub token's secret cannot be read; the message never holds any of its content."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do the work of the event; a failure's message has every bad adapter's reason and remedy."""
    deadline = event["StartedAt"] + DEADLINE_SECONDS

    def has_time() -> bool:
        in_time = bool(context.get_remaining_time_in_millis() > MARGIN_MILLISECONDS)
        return in_time and time.time() < deadline

    try:
        if event["RequestType"] == "Delete":
            return _delete(event["ResourceProperties"], has_time)
        return _seed(Properties.read(event["ResourceProperties"]), has_time)
    except OutOfTime:
        pass
    except (BotoCoreError, ClientError) as error:
        if not _may_pass(error):
            raise
        print(json.dumps({"waiting": str(error)}))
    if time.time() >= deadline:
        # The waiter would call on, and publish what CloudFormation has meanwhile rolled back.
        raise TookTooLong(
            f"the seeding took more than {DEADLINE_SECONDS // 60} minutes, and CloudFormation waits an hour; "
            "what has been transferred is kept: deploy again"
        )
    return {"IsComplete": False}


def _delete(properties: dict[str, str], has_time: Callable[[], bool]) -> dict[str, Any]:
    """Nothing is unpublished: the bucket goes with all it holds, or stays as it is."""
    if properties["RetainData"] == "false":
        empty(boto3.client("s3"), properties["Bucket"], has_time=has_time)
    return {"IsComplete": True}


def _may_pass(error: BotoCoreError | ClientError) -> bool:
    """Whether an error of AWS, which boto3 has tried again already, is worth another invocation."""
    return isinstance(error, HTTPClientError | NoConnection) or is_outage(error)


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
        remedy = "create it in this account and region with a Hub read token as its plain text"
        if code == "AccessDeniedException":
            remedy = "if it is encrypted with a key of its own, name that in the stage's decrypt_keys"
        raise SecretUnreadable(
            f"hub_token_secret: the secret {secret!r} cannot be read ({code}); {remedy}"
        ) from None
    if not value or any(character.isspace() or character in "{}\"'" for character in value):
        raise SecretUnreadable(
            f"hub_token_secret: the secret {secret!r} holds no token; store the token as plain text, no JSON"
        )
    return str(value)
