"""The second handler of the seeding custom resource, which runs the seeding.

CloudFormation's waiter calls it until it returns `IsComplete`; each call continues from what is in the
bucket. An outage of the network, of AWS or of the Hub is waited out in the same way; a denial by IAM is
waited out inside of an invocation (`iam_propagation`). A base model that cannot be fetched, bad adapters, and
a function that is killed for its memory, fail the deployment, and the next deployment continues. The event is
never logged: it contains the presigned URL by which CloudFormation accepts a response for this resource.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from adapters.store.s3 import is_outage
from adapters.store.transfer import OutOfTime
from ingest.hub import HubUnavailable
from lambdas.adapter_seeder.assembly import assemble_seeder
from lambdas.adapter_seeder.empty_bucket import empty_bucket
from lambdas.adapter_seeder.iam_propagation import IamPropagation
from lambdas.adapter_seeder.properties import Properties

#: Work stops this long before Lambda's own limit, so that the response is still sent.
MARGIN_MILLISECONDS = 60_000
#: CloudFormation waits an hour for a custom resource.
DEADLINE_SECONDS = 55 * 60


class TookTooLong(Exception):
    """The seeding did not end in the time that CloudFormation waits for it."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the work of the event; the message of a failure has every bad adapter's reason and remedy."""
    deadline = event["StartedAt"] + DEADLINE_SECONDS

    def has_time() -> bool:
        in_time = bool(context.get_remaining_time_in_millis() > MARGIN_MILLISECONDS)
        return in_time and time.time() < deadline

    aws = IamPropagation(event["StartedAt"], has_time)
    try:
        if event["RequestType"] == "Delete":
            return _delete(event["ResourceProperties"], aws, has_time)
        return _seed(Properties.read(event["ResourceProperties"]), event["StackId"], aws, has_time)
    except OutOfTime as ended:
        reason = str(ended.__cause__ or "")
    except HubUnavailable as error:
        reason = str(error)
    except (BotoCoreError, ClientError) as error:
        if not _is_transient(error):
            raise
        reason = str(error)
    if reason:
        print(json.dumps({"waiting": reason}))
    if time.time() >= deadline:
        # The waiter would call again, and publish what CloudFormation has rolled back in the meantime.
        raise TookTooLong(
            f"the seeding took more than {DEADLINE_SECONDS // 60} minutes, and CloudFormation waits an hour; "
            "what has been transferred is kept: deploy again" + (f". Waiting for: {reason}" if reason else "")
        )
    return {"IsComplete": False}


def _seed(
    properties: Properties, stack_id: str, aws: IamPropagation, has_time: Callable[[], bool]
) -> dict[str, Any]:
    report = assemble_seeder(properties, stack_id, aws, has_time).run()
    print(report.to_json())
    return {
        "IsComplete": True,
        "Data": {"Adapters": str(report.adapters), "BytesMoved": str(report.bytes_moved)},
    }


def _delete(properties: dict[str, str], aws: IamPropagation, has_time: Callable[[], bool]) -> dict[str, Any]:
    """Unpublish nothing: the bucket is deleted with all its content, or stays unchanged."""
    if properties["RetainData"] == "false":
        empty_bucket(aws.client("s3"), properties["Bucket"], has_time=has_time)
    return {"IsComplete": True}


def _is_transient(error: BotoCoreError | ClientError) -> bool:
    """Return whether an error, after boto3's own retries, is worth another invocation."""
    return isinstance(error, HTTPClientError | NoConnection) or is_outage(error)
