"""Dashboards: nothing depends on them."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import changed, is_whole, label
from loraserve.review.values import title

_DASHBOARD = "AWS::CloudWatch::Dashboard"


def dashboards(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield the dashboard: its body repeats thresholds and limits, which have findings themselves."""
    for resource in changed(change, _DASHBOARD):
        if is_whole(resource) and (resource.is_added or resource.is_removed):
            says = "is new" if resource.is_added else "is deleted"
        elif resource.changed("DashboardName") is not None:
            says = "has another name: links to the old one break"
        elif resource.changed("DashboardBody") is not None:
            yield ReviewFinding(
                rule="form.dashboard",
                level=Level.NOISE,
                stage=change.id,
                title=title(f"dashboard `{label(resource)}` shows other lines"),
                differences=tuple(each for each in resource.differences if each.name == "DashboardBody"),
            )
            continue
        else:
            continue
        yield ReviewFinding(
            rule="alarms.dashboard",
            level=Level.ROUTINE,
            stage=change.id,
            title=title(f"dashboard `{label(resource)}` {says}"),
            consequence="No alarm depends on it.",
            differences=tuple(
                each
                for each in resource.differences
                if each.kind is Kind.RESOURCE or each.name in ("DashboardName", "DashboardBody")
            ),
        )
