"""Tested = promoted: both sides of a release agree in what was tested in the stage before."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.finding import Finding, ok, problem, warning
from loraserve.release.sameness import SettingDifference, differences_between
from stacks.facts import StageFacts

_CHECK = "tested"


def check_tested(before: StageFacts, after: StageFacts) -> Iterator[Finding]:
    """Compare the release's side of the stage before with that of the stage."""
    found = list(differences_between(before, after))
    blocking = [each for each in found if each.blocks]
    if blocking:
        yield problem(
            _CHECK,
            f"{after.name} would get what {before.name} did not test: {_written(blocking)}",
            f"give stages/{before.name}.yaml and stages/{after.name}.yaml the same values, and build a new "
            "release",
        )
    if allowed := [each for each in found if not each.blocks]:
        yield warning(_CHECK, f"not tested in {before.name}: {_written(allowed)}")
    if not found:
        yield ok(_CHECK, f"{after.name} gets what {before.name} has tested")


def _written(differences: list[SettingDifference]) -> str:
    return "; ".join(f"{each.name}: {each.before} there, {each.after} here" for each in differences)
