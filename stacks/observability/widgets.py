"""Parts of a CloudWatch dashboard, as its JSON has them («Dashboard Body Structure and Syntax»).

Data instead of `cloudwatch.Dashboard` constructs: with those the body in the template is an Fn::Join around
regions and ARNs, and not JSON that a test can parse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stacks.observability.metric import Metric

PERIOD_SECONDS = 300
#: CloudWatch's own colour for what is wrong.
RED = "#d62728"


@dataclass(frozen=True)
class Line:
    """A metric as it is shown, or with `expression` one that is worked out from those with an `id`."""

    label: str | None = None
    metric: Metric | None = None
    expression: str | None = None
    id: str | None = None
    hidden: bool = False
    right: bool = False
    color: str | None = None

    def to_json(self) -> list[Any]:
        """An element of a widget's `metrics`."""
        options: dict[str, Any] = {} if self.label is None else {"label": self.label}
        if self.id is not None:
            options["id"] = self.id
        if self.hidden:
            options["visible"] = False
        if self.right:
            options["yAxis"] = "right"
        if self.color is not None:
            options["color"] = self.color
        if self.metric is None:
            return [{**options, "expression": self.expression}]
        dimensions = [part for dimension in self.metric.dimensions.items() for part in dimension]
        return [
            self.metric.namespace,
            self.metric.name,
            *dimensions,
            {**options, "stat": self.metric.statistic},
        ]


@dataclass(frozen=True)
class Widget:
    """A widget without its place; sizes are in columns and rows of the dashboard's grid."""

    type: str
    properties: Mapping[str, Any]
    width: int
    height: int
    x: int = 0
    y: int = 0

    def to_json(self) -> dict[str, Any]:
        """An element of the body's `widgets`."""
        return {
            "type": self.type,
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "properties": dict(self.properties),
        }


def chart(
    title: str, lines: Sequence[Line], *, unit: str = "", limit: tuple[str, float] | None = None
) -> Widget:
    """Lines over time; `limit` is a line across, with its label."""
    properties: dict[str, Any] = {
        "title": title,
        "view": "timeSeries",
        "stacked": False,
        "period": PERIOD_SECONDS,
        "metrics": [line.to_json() for line in lines],
        "yAxis": {
            "left": {"min": 0, "label": unit, "showUnits": False},
            "right": {"min": 0, "showUnits": False},
        },
    }
    if limit is not None:
        properties["annotations"] = {"horizontal": [{"label": limit[0], "value": limit[1], "color": RED}]}
    return Widget("metric", properties, 8, 6)


def number(title: str, lines: Sequence[Line]) -> Widget:
    """The latest value of the one line that is not hidden, above its course."""
    properties = {
        "title": title,
        "view": "singleValue",
        "sparkline": True,
        "period": PERIOD_SECONDS,
        "metrics": [line.to_json() for line in lines],
    }
    return Widget("metric", properties, 4, 4)


def text(markdown: str, *, width: int, height: int) -> Widget:
    """Words."""
    return Widget("text", {"markdown": markdown}, width, height)


def alarm_states(title: str, arns: Sequence[str], *, width: int, height: int) -> Widget:
    """A box for each alarm, those that are raised first."""
    properties = {"title": title, "alarms": list(arns), "sortBy": "stateUpdatedTimestamp"}
    return Widget("alarm", properties, width, height)


def in_rows(rows: Sequence[Sequence[Widget]], region: str) -> list[dict[str, Any]]:
    """Place each row below the one before it; the metrics are those of the region."""
    placed, y = [], 0
    for row in rows:
        x = 0
        for widget in row:
            part = replace(widget, x=x, y=y).to_json()
            if widget.type == "metric":
                part["properties"]["region"] = region
            placed.append(part)
            x += widget.width
        y += max(widget.height for widget in row)
    return placed
