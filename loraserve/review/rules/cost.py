"""Rules about the bill: both sides by the same table of prices, each in its own region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison, equal
from loraserve.review.costs import OUTPUT, estimate_of, priced_resources, printed_cost
from loraserve.review.difference import Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from stacks.sizing.cost_estimate import Estimate

#: A rise of the monthly bill that a person decides on: this many USD and this share, or `MUCH` alone.
NOTABLE, SHARE = 100.0, 0.10
MUCH = 1000.0
#: Below a cent nothing is billed.
_CENT = 0.005
#: Facts that the bill depends on.
_FACTS = ("billed", "fleet.instance_type", "fleet.minimum", "fleet.expected", "fleet.maximum")


def cost(change: StageComparison) -> Iterator[ReviewFinding]:
    """Compare the monthly cost of a stage that both sides have."""
    if change.before is None or change.after is None:
        return
    facts, outputs = change.facts(*_FACTS), _outputs(change)
    billed = (*facts, *outputs)
    before, after = estimate_of(change.before.facts), estimate_of(change.after.facts)
    if before is None or after is None:
        sides = {"base": (change.before, before), "head": (change.after, after)}
        yield from _unknown(change, sides, billed)
        return
    printed = printed_cost(change.before)
    repriced = bool(outputs) and printed != before.one_line()
    if repriced:
        yield ReviewFinding(
            rule="cost.prices",
            level=Level.ROUTINE,
            stage=change.id,
            title=f"prices of {after.date}: both sides are compared by the new table",
            consequence="The base's own synth printed other figures.",
            details=(f"printed by the base: {printed}", f"by the new table: {before.one_line()}"),
            differences=outputs,
        )
    if facts:
        yield _compared(change, before, after, billed)
    elif outputs and not repriced:
        yield ReviewFinding(
            rule="form.cost",
            level=Level.NOISE,
            stage=change.id,
            title=f"the output {OUTPUT} is worded in another way",
            differences=outputs,
        )


def _compared(
    change: StageComparison, before: Estimate, after: Estimate, billed: tuple[Difference, ...]
) -> ReviewFinding:
    old, new = _sums(before), _sums(after)
    changed = [key for key in old if abs(new[key] - old[key]) >= _CENT]
    notable = [key for key in ("at most", "at least") if _is_notable(old[key], new[key])]
    # The sum that the title names.
    lead = next(iter([*notable, *changed]), None)
    rule = "equal" if lead is None else "up" if new[lead] > old[lead] else "down"
    return ReviewFinding(
        rule=f"cost.{rule}",
        level=Level.REVIEW if notable else Level.ROUTINE,
        stage=change.id,
        title=_title(lead, old, new),
        consequence=f"On-demand prices of {after.date}, without requests, traffic and logs.",
        action="Agree on it with the owner of the budget." if notable else "",
        details=_details(before, after, changed),
        differences=billed,
        before=old,
        after=new,
    )


def _is_notable(before: float, after: float) -> bool:
    """Check a rise against the thresholds.

    Applied to the most, and to the least as well: a higher minimum is paid in any case, even where the most
    stays. The expected sum follows `instance_count` by default, which autoscaling does not keep.
    """
    rise = after - before
    return rise >= MUCH or (rise >= NOTABLE and rise >= SHARE * before)


def _sums(found: Estimate) -> dict[str, float]:
    """Return the sums, the most telling one first."""
    return {
        "at most": found.maximum,
        "expected": found.expected,
        "at least": found.minimum,
        "each hour of an update": found.rollout_hour,
    }


def _title(lead: str | None, old: dict[str, float], new: dict[str, float]) -> str:
    if lead is None:
        return f"cost: at most {new['at most']:,.0f} USD a month, as before"
    rise = new[lead] - old[lead]
    digits = 0 if abs(rise) >= 10 else 2
    unit = "USD" if lead.startswith("each") else "USD a month"
    return (
        f"cost: {lead} {new[lead]:,.{digits}f} {unit} instead of {old[lead]:,.{digits}f} "
        f"({rise:+,.{digits}f})"
    )


def _details(before: Estimate, after: Estimate, changed: list[str]) -> tuple[str, ...]:
    """Make a line for each sum and each part of the bill that differs."""
    old, new = _sums(before), _sums(after)
    sums = [f"{key}: {old[key]:,.2f} → {new[key]:,.2f} USD" for key in changed]
    one, other = dict(before.fixed_parts()), dict(after.fixed_parts())
    parts = [
        f"{what}: {one[what]:,.2f} → {other[what]:,.2f} USD"
        for what in one
        if abs(other[what] - one[what]) >= _CENT
    ]
    hour = [
        f"{each.instance_type} in {each.region}: {each.instance_hour:g} USD an hour"
        for each in (before, after)
        if (before.instance_type, before.region) != (after.instance_type, after.region)
    ]
    return (*sums, *parts, *hour)


def _unknown(
    change: StageComparison,
    estimates: Mapping[str, tuple[Stage, Estimate | None]],
    billed: tuple[Difference, ...],
) -> Iterator[ReviewFinding]:
    """Report that a cost is not known, where the bill may differ."""
    differs = not equal(*(priced_resources(stage) for stage, _ in estimates.values()))
    if differs or billed:
        missing = {side: stage for side, (stage, found) in estimates.items() if found is None}
        yield ReviewFinding(
            rule="cost.unknown",
            level=Level.REVIEW if differs else Level.ROUTINE,
            stage=change.id,
            title=f"cost: not known on the {' and on the '.join(missing)}, {_reason(*missing.values())}",
            consequence="Fleet, region or network differ, and so does the bill." if differs else "",
            action="Compare both sides below; if a price is missing, add it to stacks/sizing/prices.yaml."
            if differs
            else "",
            details=tuple(f"{side}: {_line(*found)}" for side, found in estimates.items()),
            differences=billed,
        )


def _line(stage: Stage, found: Estimate | None) -> str:
    """Make a line of one side's cost, or of the reason why it is not known."""
    if found is not None:
        return found.one_line()
    if stage.facts is None:
        return f"not known, {_reason(stage)}; printed by its synth: {printed_cost(stage)}"
    return f"not known, {_reason(stage)}"


def _reason(*stages: Stage) -> str:
    """Say why the cost of the stages is not known; of several, the reason of the last."""
    facts = stages[-1].facts
    if facts is None:
        return "without a facts file"
    return f"no price of {facts.fleet.instance_type} in {facts.billed.region}"


def _outputs(change: StageComparison) -> tuple[Difference, ...]:
    """Return the changed output; an added or removed one is no statement about money."""
    return tuple(
        each
        for each in change.differences
        if each.kind is Kind.SECTION
        and each.subject == f"Outputs/{OUTPUT}"
        and each.before is not None
        and each.after is not None
    )
