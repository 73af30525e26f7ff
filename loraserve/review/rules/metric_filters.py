"""Metric filters: an alarm on a metric that nothing emits is never raised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import changed, is_whole, label
from loraserve.review.values import properties, resources_of, title

_FILTER = "AWS::Logs::MetricFilter"
_WORDS = {
    "FilterPattern": "counts other lines",
    "LogGroupName": "reads another log group",
    "MetricTransformations": "emits other metrics",
}


def metric_filters(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find metric filters that come, go or count otherwise."""
    for resource in changed(change, _FILTER):
        name = f"metric filter `{label(resource)}`"
        if resource.is_added:
            yield ReviewFinding(
                rule="alarms.metric",
                level=Level.ROUTINE,
                stage=change.id,
                title=title(f"{name} is new"),
                consequence="A metric is billed by month.",
                differences=resource.differences,
            )
        elif resource.is_removed:
            blind = _alarms(change, resource)
            yield ReviewFinding(
                rule="alarms.blind" if blind else "alarms.metric",
                level=Level.REVIEW if blind else Level.ROUTINE,
                stage=change.id,
                title=title(
                    f"{name} is deleted" + (f": {', '.join(blind)} cannot be raised" if blind else "")
                ),
                consequence="The metric has no more data." if blind else "No alarm uses its metric.",
                action="Keep the filter as long as the alarm exists." if blind else "",
                details=tuple(blind),
                differences=resource.differences,
            )
        elif not is_whole(resource):
            for each in resource.differences:
                if each.kind is Kind.PROPERTY and each.name in _WORDS:
                    yield ReviewFinding(
                        rule="alarms.blind",
                        level=Level.REVIEW,
                        stage=change.id,
                        title=title(f"{name} {_WORDS[each.name]}"),
                        consequence="Alarms on its metric may not be raised any more.",
                        action="Check the new value against lines of the log.",
                        differences=(each,),
                        before=each.before,
                        after=each.after,
                    )
                elif each.kind is Kind.PROPERTY and each.name == "FilterName":
                    yield ReviewFinding(
                        rule="alarms.renamed",
                        level=Level.ROUTINE,
                        stage=change.id,
                        title=title(f"{name} is renamed"),
                        consequence="CloudWatch Logs makes a new filter: lines in between are not counted.",
                        differences=(each,),
                    )


def _alarms(change: StageComparison, resource: ResourceChange) -> list[str]:
    """Return the alarms of either side on the metrics of a filter."""
    metrics = {
        (_text(each.get("MetricNamespace")), _text(each.get("MetricName")))
        for each in properties(resource.before).get("MetricTransformations", ())
    }
    return sorted(
        {
            str(properties(alarm).get("AlarmName", logical_id))
            for stage in (change.before, change.after)
            for _, logical_id, alarm in resources_of(stage, "AWS::CloudWatch::Alarm")
            if metrics & set(_watched(properties(alarm)))
        }
    )


def _watched(alarm: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of an alarm's metrics, those of metric math too."""
    yield _text(alarm.get("Namespace")), _text(alarm.get("MetricName"))
    for query in alarm.get("Metrics", ()):
        metric = query.get("MetricStat", {}).get("Metric", {})
        yield _text(metric.get("Namespace")), _text(metric.get("MetricName"))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
