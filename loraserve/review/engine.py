"""From differences to findings: all rules are asked, and what none of them claims is a finding as well."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace

from loraserve.review.comparison import StageComparison
from loraserve.review.difference import REPLACING, Difference, Impact, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.catalog import RULES, Rule
from loraserve.review.values import title

_GONE = (*REPLACING, Impact.DESTROY, Impact.ORPHAN)


def findings(change: StageComparison) -> list[ReviewFinding]:
    """Return the findings of a stage, the gravest first; every difference belongs to at least one."""
    found = [_of_disposable_data(change, each) for rule in RULES for each in _asked(rule, change)]
    claimed = {difference for each in found for difference in each.differences}
    found += _unknown([each for each in change.differences if each not in claimed])
    return sorted(found, key=lambda each: (-each.level, each.rule, each.title))


def _asked(rule: Rule, change: StageComparison) -> list[ReviewFinding]:
    """Return the findings of a rule; a defect of one neither ends the review nor hides what it judges.

    Its findings are given up together, so what it alone would have claimed is unknown.
    """
    try:
        return list(rule(change))
    except Exception as error:
        return [
            ReviewFinding(
                rule="unknown.rule",
                level=Level.BLOCK,
                stage=change.id,
                title=title(f"the rule `{rule.__name__}` failed: {type(error).__name__}: {error}"),
                consequence="What it judges is not judged; another rule may call a part of it harmless.",
                action="Read CloudFormation's own diff (`make diff`), and report the defect of the rule.",
                details=tuple(traceback.format_exc().splitlines()),
            )
        ]


def _of_disposable_data(change: StageComparison, finding: ReviewFinding) -> ReviewFinding:
    """Lower a block about data to a review where the base declares its data disposable."""
    facts = change.facts_before
    if finding.category != "loss" or finding.level is not Level.BLOCK:
        return finding
    if facts is None or facts.retention.retain_data:
        return finding
    return replace(finding, level=Level.REVIEW)


def _unknown(unclaimed: list[Difference]) -> Iterator[ReviewFinding]:
    """Yield a finding for each thing that no rule knows."""
    for each in unclaimed:
        thing = each.subject if each.kind is not Kind.DEPLOYMENT else each.stack
        if each.kind is Kind.RESOURCE:
            verb = {Impact.CREATE: "is new", Impact.DESTROY: "is deleted", Impact.ORPHAN: "is left behind"}
            yield ReviewFinding(
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
        yield ReviewFinding(
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
