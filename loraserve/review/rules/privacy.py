"""Data capture: recorded prompts and answers are personal data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison, equal
from loraserve.review.difference import Json
from loraserve.review.endpoint_update import CONFIG, number, pairs
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import is_inside, is_object, mapping, mappings, text, title

_NAME = "DataCaptureConfig"
_PERCENT, _OPTIONS, _PLACE = "InitialSamplingPercentage", "CaptureOptions", "DestinationS3Uri"


def privacy(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield a change of data capture: wider unless it is certain to record less."""
    for pair in pairs(change, CONFIG):
        before, after = pair.before.get(_NAME), pair.after.get(_NAME)
        if equal(before, after):
            continue
        old, new = mapping(before), mapping(after)
        is_less = is_object(after) and _records_less(old, new)
        yield ReviewFinding(
            rule="privacy.capture",
            level=Level.ROUTINE if is_less else Level.REVIEW,
            stage=change.id,
            title=title(
                f"recorded requests: {_summary(before)} → {_summary(after)}{_place(change, old, new)}"
            ),
            consequence="What is recorded already stays until it expires."
            if is_less
            else "Prompts and answers are stored there; written by people, they are personal data.",
            action="" if is_less else "Check the users' consent, and endpoint.data_capture.retention_days.",
            differences=tuple(pair.of(_NAME)),
            before=before,
            after=after,
        )


def _records_less(before: Mapping[str, Json], after: Mapping[str, Json]) -> bool:
    """Return whether it is certain that nothing is recorded that was not recorded before."""
    if not after or after.get("EnableCapture") is False:
        return True
    others = {*before, *after} - {_PERCENT, _OPTIONS}
    return (
        before.get("EnableCapture") is True
        and all(equal(before.get(name), after.get(name)) for name in others)
        and 0 < number(after.get(_PERCENT)) <= number(before.get(_PERCENT))
        and _modes(after) <= _modes(before)
        # A condition has no modes that are known.
        and all(_modes(side) for side in (before, after))
    )


def _modes(capture: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(str(option.get("CaptureMode")) for option in mappings(capture.get(_OPTIONS)))


def _summary(value: Json) -> str:
    if not is_object(value):
        return text(value)
    capture = mapping(value)
    if not capture or capture.get("EnableCapture") is False:
        return "none"
    modes = ", ".join(sorted(_modes(capture))).lower() or text(capture.get(_OPTIONS))
    return f"{text(capture.get(_PERCENT))} % ({modes})"


def _place(change: StageComparison, before: Mapping[str, Json], after: Mapping[str, Json]) -> str:
    """Name another place of the records, unless it is for certain a bucket of the stage."""
    place = after.get(_PLACE)
    if place is None or equal(place, before.get(_PLACE)) or _is_own(change.after, place):
        return ""
    return f", stored at {text(place)}"


def _is_own(stage: Stage | None, place: Json) -> bool:
    match place:
        case {"Fn::Join": ["", ["s3://", bucket, *_]]} if stage is not None:
            return any(is_inside(stage, stack, bucket) for stack in stage.stacks.values())
    return False
