"""Tested = promoted: both sides of a release agree in what was tested in the stage before."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.finding import Finding, ok, problem, warning
from loraserve.release.opened import OpenedRelease
from loraserve.release.sameness import SettingDifference, stage_differences

_CHECK = "tested"
#: Differences of a line.
_SHOWN = 5


def check_tested(opened: OpenedRelease, before: str, after: str) -> Iterator[Finding]:
    """Compare the release's side of the stage before with that of the stage."""
    found = list(stage_differences(opened, before, after))
    blocking = [each for each in found if each.blocks]
    if blocking:
        yield problem(
            _CHECK,
            f"{after} would get what {before} did not test: {_written(blocking)}",
            f"give stages/{before}.yaml and stages/{after}.yaml the same values, and build a new release",
        )
    if allowed := [each for each in found if not each.blocks]:
        yield warning(_CHECK, f"not tested in {before}: {_written(allowed)}")
    if not found:
        yield ok(_CHECK, f"{after} gets what {before} has tested")


def _written(differences: list[SettingDifference]) -> str:
    found = [f"{each.name}: {each.before} there, {each.after} here" for each in differences[:_SHOWN]]
    return "; ".join([*found, *([f"and {len(differences) - _SHOWN} more"] if differences[_SHOWN:] else [])])
