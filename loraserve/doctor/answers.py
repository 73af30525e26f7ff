"""AWS's refusals as findings, for checks that ask several things."""

from __future__ import annotations

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.finding import Finding, unknown

#: The codes by which services refuse a caller: JSON and query services, EC2, SNS, and S3's HEAD requests,
#: whose responses have no body.
REFUSALS = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "UnauthorizedOperation",
    "Forbidden",
    "403",
}


def is_refusal(error: ClientError) -> bool:
    """Return whether the service refuses the caller, whatever else may be true."""
    return error_code(error) in REFUSALS


def unanswered(check: str, action: str, error: ClientError, subject: str = "") -> Finding:
    """Return the finding about a question that a service did not answer.

    `action` is the IAM action that it needs; `subject` is what was asked about, e.g. a key's ARN.
    """
    about = f"{subject}: " if subject else ""
    if is_refusal(error):
        return unknown(
            check,
            f"{about}not checked: these credentials may not {action}",
            f"allow {action} to these credentials to have it checked",
        )
    message = error.response["Error"].get("Message", "")
    return unknown(check, f"{about}not checked: {action} answers {error_code(error)} {message}".rstrip())
