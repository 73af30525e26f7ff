"""Policy documents in short, and what the comparison of two says."""

from typing import Any

from loraserve.review.access.coverage import uncovered
from loraserve.review.access.statements import statements

#: Values of a stage after resolution of its intrinsic functions.
BUCKET = "<AdapterStore/Bucket.Arn>"


def allow(action: Any = "s3:GetObject", resource: Any = f"{BUCKET}/*", **other: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **other}


def deny(action: Any = "s3:*", resource: Any = f"{BUCKET}/*", **other: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **other}


def without(statement: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key not in keys}


def when(operator: str, key: str, *values: Any) -> dict[str, Any]:
    return {operator: {key: list(values) if len(values) > 1 else values[0]}}


def document(*found: Any, version: str | None = "2012-10-17") -> dict[str, Any]:
    return {"Statement": list(found)} | ({} if version is None else {"Version": version})


def compare(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return what the new document is: `wider`, `guard` for a lost Deny, `narrower` or `equal`."""
    before, after = (list(statements(each, {})) for each in (old, new))
    if uncovered(after, before, allows=True):
        return "wider"
    if uncovered(before, after, allows=False):
        return "guard"
    fewer = uncovered(before, after, allows=True) or uncovered(after, before, allows=False)
    return "narrower" if fewer else "equal"
