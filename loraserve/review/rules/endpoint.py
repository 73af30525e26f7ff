"""Identity of the endpoint: its name is the callers' address."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.comparison import StageComparison
from loraserve.review.endpoint_update import ENDPOINT, lone, pairs
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import text, title

_TAKEN = "CloudFormation creates the new endpoint first, and its name is taken: the deployment fails."
_SECOND = "CloudFormation creates a second endpoint and then deletes this one: its callers get errors."


def endpoint(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield an endpoint that is replaced, deleted, or new in a stack that both sides have."""
    for pair in pairs(change, ENDPOINT):
        if not pair.is_replaced:
            continue
        before, after = text(pair.before.get("EndpointName")), text(pair.after.get("EndpointName"))
        yield ReviewFinding(
            rule="identity.endpoint",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"the endpoint {before} is replaced by {after}"),
            consequence=_TAKEN if before == after else _SECOND,
            action="Keep name and logical id; for another name, deploy a second stage beside this one.",
            differences=tuple(each for each in pair.of("EndpointName") if each.kind.value != "attribute"),
            before=before,
            after=after,
        )
    added, removed = lone(change, ENDPOINT)
    if len(added) == len(removed) == 1:  # a pair
        return
    for each in removed:
        name = text((each.before or {}).get("Properties", {}).get("EndpointName"))
        yield ReviewFinding(
            rule="identity.endpoint",
            level=Level.BLOCK,
            stage=change.id,
            title=title(f"the endpoint {name} is deleted"),
            consequence="All its callers get errors from then on.",
            action="Remove a stage with `make destroy`, not by a change of the app.",
            differences=each.differences,
            before=each.before,
        )
    for each in added:
        name = text((each.after or {}).get("Properties", {}).get("EndpointName"))
        yield ReviewFinding(
            rule="identity.endpoint",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"the endpoint {name} is new"),
            consequence="It is billed beside those of the base.",
            differences=each.differences,
            after=each.after,
        )
