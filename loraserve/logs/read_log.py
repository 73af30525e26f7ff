"""Reading of the access log from CloudWatch Logs: once, or on and on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.errors import NotDeployed
from loraserve.logs.logged_request import LoggedRequest, logged_request
from loraserve.logs.selection import RequestSelection
from loraserve.stage_access import StageAccess

#: Seconds between two looks of `follow_log`.
LOOK_SECONDS = 3.0
#: Time by which a line may reach CloudWatch Logs after another instance's later one.
_LATE = timedelta(minutes=1)


def read_log(access: StageAccess, selection: RequestSelection, since: datetime) -> Iterator[LoggedRequest]:
    """Yield the selected requests that ended since a time, the oldest first.

    Raises `NotDeployed` if the endpoint has no log yet.
    """
    group = f"/aws/sagemaker/Endpoints/{access.target.endpoint_name}"
    pages = access.client("logs").get_paginator("filter_log_events")
    chosen = pages.paginate(
        logGroupName=group, startTime=_milliseconds(since), filterPattern=selection.pattern
    )
    try:
        for event in (event for page in chosen for event in page["events"]):
            request = logged_request(event["message"])
            if request is not None and selection.includes(request):
                yield request
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        raise NotDeployed(
            f"there is no log group {group} in {access.target.region}: it is created with the stage, and "
            f"'loraserve status --stage {access.target.name}' shows whether the stage is deployed"
        ) from error


def follow_log(
    access: StageAccess, selection: RequestSelection, since: datetime, sleep: Any = time.sleep
) -> Iterator[LoggedRequest]:
    """Yield the selected requests since a time, and then each new one; ends only with the process."""
    seen: dict[str, datetime] = {}
    while True:
        for request in read_log(access, selection, since):
            if request.id not in seen:
                seen[request.id] = request.ended
                yield request
        since = max(since, datetime.now(UTC) - _LATE)
        seen = {id_: ended for id_, ended in seen.items() if ended >= since - _LATE}
        sleep(LOOK_SECONDS)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
