"""Metrics in a container's log lines, as CloudWatch Logs reads them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from container.gateway.adapters.registry import Adapter
from container.gateway.telemetry.adapter_metrics import AdapterMetrics
from laptop_cloud.containers.embedded_metrics import metric_data

PUT = get_session().get_service_model("cloudwatch").operation_model("PutMetricData").input_shape
LINE: dict[str, Any] = {
    "_aws": {
        "Timestamp": 1_700_000_000_000,
        "CloudWatchMetrics": [
            {
                "Namespace": "Space",
                "Dimensions": [["Endpoint", "Adapter"], ["Endpoint"]],
                "Metrics": [{"Name": "Loads", "Unit": "Count"}, {"Name": "Seconds"}],
            }
        ],
    },
    "Endpoint": "e",
    "Adapter": "otter",
    "Loads": 2,
    "Seconds": [0.5, 1.5],
}


def test_each_metric_is_published_once_for_each_set_of_dimensions() -> None:
    data = list(metric_data(json.dumps(LINE)))
    assert {namespace for namespace, _ in data} == {"Space"}
    both = [{"Name": "Endpoint", "Value": "e"}, {"Name": "Adapter", "Value": "otter"}]
    common = {"Timestamp": 1_700_000_000.0}
    loads = {"MetricName": "Loads", "Values": [2.0], "Unit": "Count", **common}
    seconds = {"MetricName": "Seconds", "Values": [0.5, 1.5], "Unit": "None", **common}
    assert [datum for _, datum in data] == [
        {**datum, "Dimensions": dimensions} for dimensions in (both, both[:1]) for datum in (loads, seconds)
    ]


def test_the_gateways_lines_are_what_put_metric_data_takes() -> None:
    metrics = AdapterMetrics(endpoint="e", variant="v", max_adapters=1)
    metrics.loaded(Adapter("otter", "0" * 16, 1, 8), 0.25, None)
    [line] = metrics.emf_lines()
    data = [datum for _, datum in metric_data(line.decode())]
    assert {datum["MetricName"] for datum in data} == {"AdapterLoads", "AdapterLoadErrors", "AdapterLoadTime"}
    report = ParamValidator().validate({"Namespace": "Space", "MetricData": data}, PUT)
    assert not report.has_errors(), report.generate_report()
    assert abs(data[0]["Timestamp"] - time.time()) < 60


@pytest.mark.parametrize(
    "line",
    [
        "plain text",
        "{",
        '{"log": "access"}',
        '{"_aws": 1}',
        json.dumps({key: value for key, value in LINE.items() if key != "Loads"}),
        json.dumps({**LINE, "Loads": "many"}),
        json.dumps({**LINE, "_aws": {"CloudWatchMetrics": LINE["_aws"]["CloudWatchMetrics"]}}),
    ],
)
def test_any_other_line_is_text(line: str) -> None:
    assert list(metric_data(line)) == []
