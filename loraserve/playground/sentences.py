"""Sentences about an answer that failed: what happened, and what to do."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, EventStreamError, HTTPClientError
from botocore.exceptions import ConnectionError as Unreachable
from urllib3.exceptions import HTTPError

from loraserve.client import InvocationError
from loraserve.credential_errors import credential_error

#: Error types of the container that are about the adapter, with the remedy.
_REMEDIES = {
    "adapter_not_found": "Pick a published adapter, or read the list again.",
    "adapter_load_failed": "See the endpoint's log; `loraserve adapters verify` checks the stored files.",
    "overloaded": "Ask again in a few seconds.",
}


def sentence(error: Exception, endpoint: str) -> str | None:
    """Return what an error of a request means; None for an error that is none of the endpoint's."""
    if isinstance(error, InvocationError):
        return _of_invocation(error, endpoint)
    if isinstance(error, (BotoCoreError, ClientError)) and (found := credential_error(error)) is not None:
        return "Credentials of AWS: {}: {}.".format(*found)
    if isinstance(error, (EventStreamError, HTTPClientError, HTTPError, OSError, Unreachable)):
        return (
            f"The endpoint {endpoint} has gone away, or cannot be reached: start it again (make up, or "
            "deploy its stage), then ask again."
        )
    if isinstance(error, (BotoCoreError, ClientError)):
        return f"The endpoint {endpoint} did not answer as it should: {error}"
    return None


def _of_invocation(error: InvocationError, endpoint: str) -> str:
    if error.error_type == "ValidationError":
        return f"The endpoint {endpoint} is not there, or not in service: deploy its stage. ({error})"
    message = str(error)
    remedy = _REMEDIES.get(error.error_type)
    return f"{message[:1].upper()}{message[1:]}{f'. {remedy}' if remedy else ''}"
