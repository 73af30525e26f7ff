"""Widgets of a CloudWatch dashboard in its JSON ("Dashboard Body Structure and Syntax").

Data instead of `cloudwatch.Dashboard` constructs: with those the body in the template is an Fn::Join around
regions and ARNs, and not JSON that a test can parse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stacks.observability.metric import Metric

PERIOD_SECONDS = 300
#: CloudWatch's colour for errors.
RED = "#d62728"


@dataclass(frozen=True)
class Line:
    """A line of a chart: a metric, or a metric-math expression."""

    label: str | None = None
    """None for CloudWatch's default label."""
    metric: Metric | None = None
    """None if `expression` is given."""
    expression: str | None = None
    """Uses the ids of other lines of the widget."""
    id: str | None = None
    """Name in expressions."""
    hidden: bool = False
    """Not drawn, only used by expressions."""
    right: bool = False
    """Drawn on the right axis."""
    color: str | None = None
    """`#rrggbb`; None for CloudWatch's choice."""

    def to_json(self) -> list[Any]:
        """Return an element of a widget's `metrics`."""
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
    """A widget; sizes and position are in columns and rows of the dashboard's grid."""

    type: str
    properties: Mapping[str, Any]
    width: int
    height: int
    x: int = 0
    y: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return an element of the body's `widgets`."""
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
    """Make a time series; `limit` is the label and value of a horizontal line."""
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
    """Make a number, the latest value of the one visible line, above its sparkline."""
    properties = {
        "title": title,
        "view": "singleValue",
        "sparkline": True,
        "period": PERIOD_SECONDS,
        "metrics": [line.to_json() for line in lines],
    }
    return Widget("metric", properties, 4, 4)


def text(markdown: str, *, width: int, height: int) -> Widget:
    """Make a Markdown text widget."""
    return Widget("text", {"markdown": markdown}, width, height)


def alarm_states(title: str, arns: Sequence[str], *, width: int, height: int) -> Widget:
    """Make a widget with the state of each alarm."""
    properties = {"title": title, "alarms": list(arns), "sortBy": "stateUpdatedTimestamp"}
    return Widget("alarm", properties, width, height)


def in_rows(rows: Sequence[Sequence[Widget]], region: str) -> list[dict[str, Any]]:
    """Lay out each row below the one before it; metrics are read in the region."""
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
