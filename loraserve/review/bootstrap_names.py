"""Names of the bucket and the repository of `cdk bootstrap`, which have account and region in them."""

from __future__ import annotations

from loraserve.review.assembly import Stage
from loraserve.review.difference import Json
from loraserve.review.values import written

_UNKNOWN = "unknown-account"


def without_environment(stage: Stage, value: Json) -> str:
    """Return a name without the stage's account and region: equal in two deployments of one asset.

    Only the stage's own account and region are left out, so that a bucket of another account stays another.
    """
    found = written(value)
    for stack in stage.stacks.values():
        for name, literal in (("AWS::AccountId", stack.account), ("AWS::Region", stack.region)):
            found = found.replace(f"${{{name}}}", f"<{name}>")
            if literal != _UNKNOWN:
                found = found.replace(literal, f"<{name}>")
    return found
