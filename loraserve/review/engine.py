"""From differences to findings: all rules are asked, and what none of them claims is a finding as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Impact, Kind
from loraserve.review.finding import Finding, Level
from loraserve.review.rules.catalog import RULES

_GONE = (Impact.REPLACE, Impact.MAY_REPLACE, Impact.DESTROY, Impact.ORPHAN)


def findings(change: StageComparison) -> list[Finding]:
    """Return the findings of a stage, the gravest first; every difference belongs to at least one."""
    found = [_of_disposable_data(change, each) for rule in RULES for each in rule(change)]
    claimed = {difference for each in found for difference in each.differences}
    found += _unknown([each for each in change.differences if each not in claimed])
    return sorted(found, key=lambda each: (-each.level, each.rule, each.title))


def _of_disposable_data(change: StageComparison, finding: Finding) -> Finding:
    """Lower a block about data to a review where the base declares its data disposable."""
    facts = change.facts_before
    if finding.category != "loss" or finding.level is not Level.BLOCK:
        return finding
    if facts is None or facts.retention.retain_data:
        return finding
    return replace(finding, level=Level.REVIEW)


def _unknown(unclaimed: list[Difference]) -> Iterator[Finding]:
    """Yield a finding for each thing that no rule knows."""
    for each in unclaimed:
        thing = each.subject if each.kind is not Kind.DEPLOYMENT else each.stack
        if each.kind is Kind.RESOURCE:
            verb = {Impact.CREATE: "is new", Impact.DESTROY: "is deleted", Impact.ORPHAN: "is left behind"}
            yield Finding(
                rule="unknown.type",
                level=Level.BLOCK if each.impact in _GONE else Level.REVIEW,
                stage=each.stage,
                title=f"{each.type} {thing} {verb.get(each.impact, 'changes')}",
                consequence="No rule knows this type of resource.",
                action="Read its lines in CloudFormation's own diff (`make diff`).",
                differences=(each,),
                before=each.before,
                after=each.after,
            )
            continue
        what = " ".join(part for part in (each.type, thing, each.name) if part)
        yield Finding(
            rule="unknown.property",
            level=Level.BLOCK if each.impact in _GONE else Level.REVIEW,
            stage=each.stage,
            title=f"{what} changes",
            consequence="No rule knows this change"
            + (", which replaces the resource." if each.impact in _GONE else "."),
            action="Read its lines in CloudFormation's own diff (`make diff`).",
            differences=(each,),
            before=each.before,
            after=each.after,
        )
