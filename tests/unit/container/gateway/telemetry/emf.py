"""CloudWatch's rules for a log line in its Embedded Metric Format, as far as the gateway's lines need them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from typing import Any

MAX_METRICS = MAX_VALUES = 100
MAX_DIMENSIONS = 30
#: Those of CloudWatch's units that we use.
UNITS = {"Count", "Bytes", "Percent", "Seconds"}


def check_emf(line: dict[str, Any]) -> None:
    """Each metric and dimension of the directive has a value of the right kind at the line's root."""
    assert set(line["_aws"]) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(line["_aws"]["Timestamp"], int)
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60, "milliseconds since 1970"
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert isinstance(directive["Namespace"], str)
        assert 1 <= len(directive["Namespace"]) <= 256
        assert directive["Dimensions"]
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= MAX_DIMENSIONS
            assert all(isinstance(line[each], str) and line[each] for each in dimensions)
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(set(names)) == len(names) <= MAX_METRICS
        for metric in directive["Metrics"]:
            assert set(metric) == {"Name", "Unit"}
            assert metric["Unit"] in UNITS
            _check_value(line[metric["Name"]])


def _check_value(value: Any) -> None:
    values = value if isinstance(value, list) else [value]
    assert 1 <= len(values) <= MAX_VALUES
    assert all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
