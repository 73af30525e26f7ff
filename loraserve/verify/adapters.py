"""The published adapters, against those of the release."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from loraserve.adapters.compare import DifferenceKind, registry_differences
from loraserve.adapters.verify import content_problems
from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem
from loraserve.verify.expected import Expected
from loraserve.verify.registry import read_registry
from stacks.config.stage_target import StageTarget

#: Names that one finding lists.
_SHOWN = 10


def check_adapters(
    target: StageTarget, client: Client, expected: Expected, since: datetime | None
) -> Iterator[Finding]:
    """Compare the registry with the release, and the files of those published `since` with the registry."""
    registry = read_registry(target, client)
    remedy = f"`python -m loraserve adapters --stage {target.name} verify` has the remedy for each adapter"
    if expected.adapters is None:
        yield ok("registry", f"{len(registry.entries)} adapters, whatever was published")
    else:
        differences = registry_differences(registry.entries.values(), expected.adapters)
        wrong = [each for each in differences if each.kind is not DifferenceKind.BY_HAND]
        by_hand = [each.name for each in differences if each.kind is DifferenceKind.BY_HAND]
        for difference in wrong:
            yield problem("registry", str(difference), remedy)
        if not wrong:
            yield ok("registry", f"{len(expected.adapters)} adapters, as in {expected.title}")
        if by_hand:
            yield ok("by hand", f"published besides {expected.title}: {shown(by_hand)}")
    changed = registry.changed(since)
    defects = [
        (name, defect)
        for name in changed
        for defect in content_problems(registry.s3, registry.bucket, registry.entries[name])
    ]
    for name, defect in defects:
        yield problem("files", f"{name}: {defect}", remedy)
    if changed and not defects:
        yield ok("files", f"those of {shown(changed)} have the hashes that were published")


def shown(names: list[str]) -> str:
    """Write names, the first ten of many."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
