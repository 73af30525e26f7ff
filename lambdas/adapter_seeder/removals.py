"""The guard against removals by mistake: of adapters that a manifest has lost, by a merge or an old checkout.

CloudFormation's rollback of an update that added adapters removes them again. It is never refused: the stack
would stay in UPDATE_ROLLBACK_FAILED.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from botocore.exceptions import ClientError

from adapters.errors import AdapterError
from adapters.store.s3 import error_code, is_denied

#: The one status in which CloudFormation updates resources to what they were, after a failed or cancelled
#: update and by ContinueUpdateRollback and RollbackStack (CloudFormation User Guide, Stack status codes;
#: aws-cdk, docs/CLOUDFORMATION.md). In ROLLBACK_IN_PROGRESS, of a creation, resources are only deleted.
_ROLLBACK = "UPDATE_ROLLBACK_IN_PROGRESS"

#: The remedy for removals that are meant.
ALLOW_REMOVALS = "write `removals: allow` into the manifest for this deploy"


class Removal(AdapterError):
    """An adapter that would be unpublished, together with more of them than the manifest allows."""

    def __init__(self, name: str, removed: int, published: int) -> None:
        """`removed` and `published` are the numbers of the stack's adapters, before anything is changed."""
        super().__init__(
            name,
            f"it is published and not in the manifest, as {removed} of {published} adapters",
            f"list it again or, if it is to be removed, {ALLOW_REMOVALS}",
        )
        self.removed = removed
        self.published = published


class UnknownDirection(Exception):
    """CloudFormation will not say whether an update is a rollback; the message has the reason."""


def refused_removals(published: Collection[str], kept: Collection[str], share: float) -> list[Removal]:
    """Return the adapters that must not be removed without permission; empty if they may.

    One adapter may be removed, and `share` of those that are published; with 0, none.
    """
    gone = sorted(set(published) - set(kept))
    if not gone or (share > 0 and len(gone) == 1) or len(gone) / len(published) <= share:
        return []
    return [Removal(name, len(gone), len(published)) for name in gone]


def is_rollback(cloudformation: Any, stack_id: str) -> bool:
    """Return whether a stack's update goes back.

    Raises `UnknownDirection` if the seeder may not know, or CloudFormation does not know the stack. Every
    other error of boto3 is raised as it is: a later request may be answered, and decides.
    """
    try:
        [stack] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    except ClientError as error:
        if not is_denied(error) and error_code(error) != "ValidationError":
            raise
        raise UnknownDirection(str(error)) from error
    return bool(stack["StackStatus"] == _ROLLBACK)
