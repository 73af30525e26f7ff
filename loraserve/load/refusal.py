"""Outcomes of responses that are no answer: SageMaker's errors and the container's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker

from loraserve.credential_errors import credential_error
from loraserve.load.generated_text import error_text
from loraserve.load.result import LoadOutcome

#: Codes of throttling, of any service of AWS: those that botocore retries as such.
_THROTTLING: frozenset[str] = frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
#: SageMaker's message for a container that did not answer in 60 s; its error is a ModelError, with the
#: original status 0 (AWS re:Post, "SageMaker endpoint … Your invocation timed out").
_TIMED_OUT = "Your invocation timed out"
#: Beginnings of AWS's message for a request whose time stamp is more than five minutes from its clock
#: (General Reference, "Troubleshoot signed requests for AWS APIs").
_SKEWED = ("Signature expired", "Signature not yet current")
#: Characters of a container's message that reports keep.
_SHOWN = 500


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> tuple[LoadOutcome, str]:
    """Return the outcome and the text of a response with another status than 2xx.

    Names of `headers` are in lower case. AWS's REST-JSON protocol names the error in `x-amzn-errortype`, with
    a namespace after a colon in some services; a response without it is a container's that was asked
    directly.
    """
    members = _object(body)
    code = (
        headers.get("x-amzn-errortype", str(members.get("__type", ""))).partition(":")[0].rpartition("#")[2]
    )
    message = str(members.get("message") or members.get("Message") or _text(members, body))
    if not code:
        return LoadOutcome.MODEL_ERROR, f"{status} {message}"
    if code == "ModelError":
        timed_out = _TIMED_OUT in str(members.get("OriginalMessage", message))
        outcome = LoadOutcome.TIMEOUT if timed_out else LoadOutcome.MODEL_ERROR
        return outcome, _original(members) or message
    if code in _THROTTLING or status == 429:
        return LoadOutcome.THROTTLED, f"{code}: {message}"
    if status >= 500:
        return LoadOutcome.SERVICE_ERROR, f"{code}: {message}"
    return LoadOutcome.VALIDATION_ERROR, _remedied(code, message, headers.get("date"))


def _original(members: dict[str, Any]) -> str | None:
    """Return the container's status and error from a ModelError."""
    if "OriginalMessage" not in members:
        return None
    text = str(members["OriginalMessage"])
    return f"{members.get('OriginalStatusCode', '')} {_text(_object(text.encode()), text.encode())}"


def _remedied(code: str, message: str, date: str | None) -> str:
    """Add the remedy to the refusal of a signature."""
    if message.startswith(_SKEWED):
        return f"this machine's clock is wrong{_skew(date)}: set it (`timedatectl set-ntp true`); {message}"
    problem = credential_error(
        ClientError({"Error": {"Code": code, "Message": message}}, "InvokeEndpoint"),
    )
    if problem is None:
        return f"{code}: {message}"
    found, remedy = problem
    return f"credentials of AWS: {found}: {remedy} ({code})"


def _skew(date: str | None) -> str:
    """Return this clock's distance from that of a `Date` header, e.g. `, 7 minutes behind AWS's`."""
    try:
        ahead_s = (datetime.now(UTC) - parsedate_to_datetime(date or "")).total_seconds()
    except (ValueError, TypeError):
        return ""
    return f", {abs(ahead_s) / 60:.0f} minutes {'ahead of' if ahead_s > 0 else 'behind'} AWS's"


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(members: dict[str, Any], body: bytes) -> str:
    return error_text(members) if "error" in members else body.decode(errors="replace")[:_SHOWN]
