"""AWS clients that wait for IAM: a role's new permissions are not in force everywhere at once.

IAM is eventually consistent ("Changes that I make are not always immediately visible", IAM User Guide,
Troubleshooting IAM). A deployment changes the seeder's role and starts the seeder seconds later, so a denied
request may be one that is allowed in a minute.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import boto3
from botocore.config import Config

from adapters.store.s3 import DENIED
from adapters.store.transfer import OutOfTime

#: After the seeding's start, and so after the change of the role, until a denied request counts.
PROPAGATION_SECONDS = 120.0
#: Between two attempts of a denied request.
PAUSE_SECONDS = 5.0
#: By operation, where its name is not the action's (Service Authorization Reference, Amazon S3).
_ACTIONS = MappingProxyType(
    {
        "HeadObject": "s3:GetObject",
        "ListObjectsV2": "s3:ListBucket",
        "ListObjectVersions": "s3:ListBucketVersions",
        "ListParts": "s3:ListMultipartUploadParts",
        "ListMultipartUploads": "s3:ListBucketMultipartUploads",
        "CreateMultipartUpload": "s3:PutObject",
        "UploadPart": "s3:PutObject",
        "CompleteMultipartUpload": "s3:PutObject",
        "CopyObject": "s3:PutObject, and s3:GetObject of its source,",
        "DeleteObjects": "s3:DeleteObjectVersion",
    }
)
_CONTEXT = "lora_serving_request"


class IamPropagation:
    """Creates clients that repeat a denied request until IAM has had its time.

    The wait is inside of botocore's own retries, so that each caller sees one slow request. botocore sends
    the body again, with a new signature.
    """

    def __init__(self, started_at: float, has_time: Callable[[], bool]) -> None:
        """`started_at` is the start of the seeding (Unix time), of its first invocation.

        Once `has_time` returns false, a denied request raises `OutOfTime`: a later invocation repeats it.
        """
        self._until = started_at + PROPAGATION_SECONDS
        self._has_time = has_time
        self._logged: set[str] = set()

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return boto3's client of a service."""
        return self.watch(boto3.client(service, config=config))

    def watch(self, client: Any) -> Any:
        """Repeat the denied requests of a client; return it."""
        client.meta.events.register("provide-client-params", _note_request)
        client.meta.events.register("needs-retry", self._retry)
        client.meta.events.register("after-call", _name_request)
        return client

    def _retry(self, response: Any, request_dict: Mapping[str, Any], **_: object) -> float | None:
        """Return the seconds until the next attempt, None if there is none; botocore sleeps them."""
        if response is None or not _is_denied(response[1]) or time.time() >= self._until:
            return None
        request = request_dict["context"].get(_CONTEXT, "")
        if not self._has_time():
            raise OutOfTime from PermissionError(f"IAM denies {request}")
        if request not in self._logged:
            self._logged.add(request)
            print(json.dumps({"waiting": f"IAM denies {request}, perhaps not for long"}))
        return PAUSE_SECONDS


def _note_request(params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: object) -> None:
    """Keep action and resource of a request, for the messages about it."""
    service = model.service_model.endpoint_prefix
    action = _ACTIONS.get(model.name, f"{service}:{model.name}")
    resource = params.get("SecretId", params.get("StackName", ""))
    if "Bucket" in params:
        resource = f"s3://{params['Bucket']}/{params.get('Key', params.get('Prefix', ''))}"
    context[_CONTEXT] = f"{action} on {resource}"


def _name_request(parsed: dict[str, Any], context: Mapping[str, Any], **_: object) -> None:
    """Add action and resource to the error of a request that stays denied: S3 does not always name them."""
    if _is_denied(parsed) and "Error" in parsed:
        error = parsed["Error"]
        error["Message"] = f"{error.get('Message', '')} [denied: {context.get(_CONTEXT, '')}]".strip()


def _is_denied(parsed: Mapping[str, Any]) -> bool:
    """Return whether a response is a denial, or has the denial of one of several deletions."""
    errors = [parsed.get("Error", {}), *parsed.get("Errors", [])]
    return any(error.get("Code") in DENIED for error in errors)
