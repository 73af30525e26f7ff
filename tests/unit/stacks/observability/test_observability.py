"""Alarms, dashboard and log group: they use existing metrics and name a remedy."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from container.gateway.adapters.registry import Adapter
from container.gateway.errors import GatewayError
from container.gateway.request_context import RequestContext
from container.gateway.telemetry.adapter_metrics import AdapterMetrics
from container.gateway.telemetry.names import ADAPTER_METRICS, INSTANCE_METRICS, NAMESPACE
from stacks.config.derived import METRICS_OF_LOGS, METRICS_OF_STATE, METRICS_PER_ADAPTER
from stacks.observability.alarm import Thresholds
from stacks.observability.metric import Source
from stacks.observability.observability_stack import (
    DashboardOptions,
    Notification,
    ObservabilityStack,
    SeederNames,
)
from stacks.project import ROOT
from tests.unit.stacks.synthesis import ENV, Template, cfn_lint, of_type, synthesize

ENDPOINT = "LoraServing-Dev-Serving"
#: «SageMaker AI metrics in Amazon CloudWatch», of an endpoint without inference components.
SAGEMAKER_METRICS = {
    "AWS/SageMaker": {
        "ConcurrentRequestsPerModel", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors",
        "Invocations", "InvocationsPerInstance", "MidStreamErrors", "ModelLatency", "OverheadLatency",
    },
    "/aws/sagemaker/Endpoints": {
        "CPUUtilization", "DiskUtilization", "GPUMemoryUtilization", "GPUUtilization", "MemoryUtilization",
    },
}  # fmt: skip
GATEWAY_DIMENSIONS = {"Endpoint": ENDPOINT, "Variant": "AllTraffic"}
SAGEMAKER_DIMENSIONS = {"EndpointName": ENDPOINT, "VariantName": "AllTraffic"}
LOGGED = f"LoraServing/{ENDPOINT}"
SOURCE = Source(endpoint_name=ENDPOINT, variant="AllTraffic", metrics_seconds=60, gpus=4)
MAILS = Notification(topic_arn=None, emails=["on-call@example.com"])
OBSERVABILITY: dict[str, Any] = {
    "source": SOURCE,
    "thresholds": Thresholds(
        target_concurrent_requests=8,
        max_instances=3,
        error_percent=5,
        gpu_memory_percent=95,
        disk_percent=85,
    ),
    "notification": MAILS,
    "seeder": SeederNames(worker="the-worker", log_group="the-seeders-log"),
    "dashboard": DashboardOptions(price_per_hour=7.09),
    "log_retention_days": 30,
    "env": ENV,
}
TOPIC = "arn:aws:sns:eu-west-1:123456789012:theirs"
#: name: namespace, metric, statistic, threshold, comparison, missing data, datapoints of periods
ALARMS = {
    "5xx": ("AWS/SageMaker", "Invocation5XXErrors", "Average", 0.05, ">=", "notBreaching", (3, 5)),
    "failures": ("AWS/SageMaker", "InvocationModelErrors", "Average", 0.5, ">=", "notBreaching", (3, 5)),
    "server-errors": (NAMESPACE, "ServerErrors", "Sum", 1, ">=", "notBreaching", (5, 5)),
    "engine-died": (LOGGED, "EngineDeaths", "Sum", 1, ">=", "notBreaching", (1, 1)),
    "no-capacity": (NAMESPACE, "EngineReady", "Maximum", 1, "<", "missing", (5, 5)),
    "saturation": ("AWS/SageMaker", "ConcurrentRequestsPerModel", "Maximum", 12, ">=", "notBreaching", (20, 20)),
    "refused": (NAMESPACE, "RequestsRefused", "Sum", 1, ">=", "notBreaching", (3, 5)),
    "wrong-adapter": (NAMESPACE, "WrongAdapters", "Sum", 1, ">=", "notBreaching", (1, 1)),
    "adapter-loads": (NAMESPACE, "AdapterLoadFailures", "Sum", 1, ">=", "notBreaching", (3, 5)),
    "failing-adapters": (NAMESPACE, "FailingAdapters", "Maximum", 50, ">=", "notBreaching", (3, 5)),
    "stale-registry": (NAMESPACE, "RegistryStaleAnswers", "Sum", 1, ">=", "notBreaching", (5, 5)),
    "registry-errors": (NAMESPACE, "RegistryErrors", "Sum", 1, ">=", "notBreaching", (3, 5)),
    "gpu-memory": (
        "/aws/sagemaker/Endpoints", "GPUMemoryUtilization", "Maximum", 380, ">=", "notBreaching", (10, 10),
    ),
    "out-of-memory": (LOGGED, "OutOfMemory", "Sum", 1, ">=", "notBreaching", (3, 5)),
    "disk": ("/aws/sagemaker/Endpoints", "DiskUtilization", "Maximum", 85, ">=", "notBreaching", (5, 5)),
    "disk-free": (NAMESPACE, "DiskFreeBytes", "Minimum", 5e9, "<", "notBreaching", (5, 5)),
    "seeding": ("AWS/Lambda", "Errors", "Sum", 1, ">=", "notBreaching", (1, 1)),
    "seeding-waits": (LOGGED, "SeedingWaits", "Sum", 1, ">=", "notBreaching", (2, 2)),
}  # fmt: skip
COMPARISONS = {">=": "GreaterThanOrEqualToThreshold", "<": "LessThanThreshold"}
ROLLBACK = [f"{ENDPOINT}-{name}" for name in ("5xx", "wrong-adapter", "failing-adapters")]


@pytest.fixture(scope="module")
def stacks() -> dict[str, ObservabilityStack]:
    return {}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, stacks: dict[str, ObservabilityStack]) -> dict[str, Path]:
    def make(app: cdk.App) -> list[cdk.Stack]:
        variants: dict[str, dict[str, Any]] = {
            "Made": {},
            "Again": {},
            "Theirs": {
                "notification": replace(MAILS, topic_arn=TOPIC),
                "dashboard": None,
                "source": replace(SOURCE, metrics_seconds=90),
            },
            "Bare": {
                "source": replace(SOURCE, gpus=0),
                "dashboard": DashboardOptions(price_per_hour=None),
            },
        }
        for name, changed in variants.items():
            stacks[name] = ObservabilityStack(app, name, **(OBSERVABILITY | changed))
        return list(stacks.values())

    return synthesize(tmp_path_factory.mktemp("observability"), make)


@pytest.fixture(scope="module")
def templates(files: dict[str, Path]) -> dict[str, Template]:
    return {name: json.loads(file.read_text()) for name, file in files.items()}


@pytest.fixture(scope="module")
def alarms(templates: dict[str, Template]) -> dict[str, dict[str, Any]]:
    found = of_type(templates["Made"], "AWS::CloudWatch::Alarm")
    return {alarm["AlarmName"].removeprefix(f"{ENDPOINT}-"): alarm for alarm in found}


def body(template: Template) -> dict[str, Any]:
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard")
    parsed: dict[str, Any] = json.loads(dashboard["DashboardBody"])
    return parsed


@pytest.fixture(scope="module")
def dashboard(templates: dict[str, Template]) -> dict[str, Any]:
    return body(templates["Made"])


@pytest.fixture(scope="module")
def emitted() -> set[str]:
    """The names of all metrics that the gateway emits, read from its output."""
    metrics = AdapterMetrics(endpoint=ENDPOINT, variant="AllTraffic", max_adapters=1)
    done, failed = RequestContext("/invocations"), RequestContext("/invocations")
    done.first_token_seconds = 0.1
    failed.error_type = "timeout"
    metrics.served(done)
    metrics.served(failed)
    metrics.loaded(Adapter("a", "0123456789abcdef", 1), 1.0, GatewayError.generation())
    names: set[str] = set()
    for line in metrics.emf_lines():
        (directive,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == NAMESPACE
        assert ["Endpoint", "Variant"] in directive["Dimensions"]
        assert ["Endpoint", "Variant", "Adapter"] in directive["Dimensions"]
        names |= {metric["Name"] for metric in directive["Metrics"]}
    assert {name for name in names if not name.startswith("Errors.")} == ADAPTER_METRICS.keys()
    return names | INSTANCE_METRICS.keys()


def metrics_of(widget: dict[str, Any]) -> list[list[Any]]:
    return list(widget["properties"].get("metrics", []))


def shown(dashboard: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    for widget in dashboard["widgets"]:
        for namespace, name, *dimensions, _ in (m for m in metrics_of(widget) if len(m) > 1):
            yield namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True))


def test_the_cost_estimate_counts_these_metrics() -> None:
    # AWS bills by the number: docs/requests.md names it.
    assert (METRICS_PER_ADAPTER, METRICS_OF_STATE, METRICS_OF_LOGS) == (9, 26, 3)


def test_there_are_these_alarms_and_no_others(alarms: dict[str, dict[str, Any]]) -> None:
    assert alarms.keys() == ALARMS.keys()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_raised_when_it_should_be(name: str, alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms[name]
    namespace, metric, statistic, threshold, comparison, missing, when = ALARMS[name]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (namespace, metric, statistic)
    assert alarm["Threshold"] == pytest.approx(threshold)
    assert alarm["ComparisonOperator"] == COMPARISONS[comparison]
    assert alarm["TreatMissingData"] == missing
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == when


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_this_endpoint(name: str, alarms: dict[str, dict[str, Any]]) -> None:
    dimensions = {d["Name"]: d["Value"] for d in alarms[name].get("Dimensions", [])}
    expected = {
        NAMESPACE: GATEWAY_DIMENSIONS,
        LOGGED: {},
        "AWS/Lambda": {"FunctionName": "the-worker"},
        **dict.fromkeys(SAGEMAKER_METRICS, SAGEMAKER_DIMENSIONS),
    }
    assert dimensions == expected[alarms[name]["Namespace"]]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_it_means_and_what_to_do_and_notifies_the_topic(
    name: str, alarms: dict[str, dict[str, Any]]
) -> None:
    alarm = alarms[name]
    assert re.fullmatch(r"[A-Z0-9].+\. First: .+\.", alarm["AlarmDescription"])
    assert len(alarm["AlarmDescription"]) <= 1024
    assert alarm["AlarmActions"] == alarm["OKActions"] != []
    # Missing data of an endpoint that existed is reported too, but not of one that does not exist yet.
    assert ("InsufficientDataActions" in alarm) is (name == "no-capacity")


def test_alarms_and_dashboard_use_only_metrics_that_there_are(
    alarms: dict[str, dict[str, Any]],
    dashboard: dict[str, Any],
    templates: dict[str, Template],
    emitted: set[str],
) -> None:
    filters = of_type(templates["Made"], "AWS::Logs::MetricFilter")
    known = {
        NAMESPACE: emitted,
        LOGGED: {t["MetricName"] for f in filters for t in f["MetricTransformations"]},
        "AWS/Lambda": {"Errors"},
        **SAGEMAKER_METRICS,
    }
    used = {(alarm["Namespace"], alarm["MetricName"]) for alarm in alarms.values()}
    used |= {(namespace, name) for namespace, name, _ in shown(dashboard)}
    assert [(namespace, name) for namespace, name in sorted(used) if name not in known[namespace]] == []


def test_alarms_that_roll_an_update_back_are_few_and_exist(
    stacks: dict[str, ObservabilityStack], alarms: dict[str, dict[str, Any]]
) -> None:
    assert stacks["Made"].rollback_alarm_names == ROLLBACK
    for name in ROLLBACK:
        alarm = alarms[name.removeprefix(f"{ENDPOINT}-")]
        # An idle new fleet must not roll back.
        assert alarm["TreatMissingData"] == "notBreaching"
        assert len(name) <= 255


def test_an_instance_without_gpus_has_no_alarm_on_their_memory(templates: dict[str, Template]) -> None:
    names = {alarm["AlarmName"] for alarm in of_type(templates["Bare"], "AWS::CloudWatch::Alarm")}
    assert names == {f"{ENDPOINT}-{name}" for name in ALARMS if name != "gpu-memory"}


def test_a_period_holds_at_least_one_value_of_each_instance(templates: dict[str, Template]) -> None:
    for alarm in of_type(templates["Theirs"], "AWS::CloudWatch::Alarm"):
        if alarm["Namespace"] == NAMESPACE:
            assert alarm["Period"] == 120


def test_the_patterns_are_what_the_code_logs(templates: dict[str, Template]) -> None:
    patterns = " ".join(f["FilterPattern"] for f in of_type(templates["Made"], "AWS::Logs::MetricFilter"))
    run = (ROOT / "container/gateway/main.py").read_text()
    assert '"%(levelname)s gateway: %(message)s"' in run
    for words in ("the engine ended by itself", "cannot start"):
        assert words in patterns
        assert f'_log.error("{words}' in run
    from container.lorax.refusals import _OUT_OF_MEMORY  # noqa: PLC0415 — what PyTorch says

    assert f'"{_OUT_OF_MEMORY}"' in patterns
    assert '{"waiting": ' in (ROOT / "lambdas/adapter_seeder/is_complete.py").read_text()
    assert "$.waiting" in patterns


def test_what_an_alarm_quotes_is_logged_or_on_the_dashboard(
    alarms: dict[str, dict[str, Any]], dashboard: dict[str, Any]
) -> None:
    quoted = {text for alarm in alarms.values() for text in re.findall("«(.+?)»", alarm["AlarmDescription"])}
    logged = " ".join(file.read_text() for file in (ROOT / "container/gateway").rglob("*.py"))
    titles = {widget["properties"].get("title") for widget in dashboard["widgets"]}
    assert len(quoted) == 3
    assert [
        text
        for text in sorted(quoted)
        if not re.search(rf'_log\.\w+\(\s*"{text}', logged) and text not in titles
    ] == []


def test_endpoints_log_is_made_here_and_does_not_stay_for_ever(templates: dict[str, Template]) -> None:
    template = templates["Made"]
    (group,) = (r for r in template["Resources"].values() if r["Type"] == "AWS::Logs::LogGroup")
    assert group["Properties"]["LogGroupName"] == f"/aws/sagemaker/Endpoints/{ENDPOINT}"
    assert group["Properties"]["RetentionInDays"] == 30
    assert group["DeletionPolicy"] == "Delete"


def test_cloudwatch_may_publish_to_topic_that_is_made_and_use_its_key(
    templates: dict[str, Template],
) -> None:
    template = templates["Made"]
    (key,), (policy,), (topic,) = (
        of_type(template, kind) for kind in ("AWS::KMS::Key", "AWS::SNS::TopicPolicy", "AWS::SNS::Topic")
    )
    assert key["EnableKeyRotation"] is True
    assert "KmsMasterKeyId" in topic
    for document, actions in (
        (key["KeyPolicy"], ["kms:Decrypt", "kms:GenerateDataKey*"]),
        (policy["PolicyDocument"], "sns:Publish"),
    ):
        (allowed,) = (
            s for s in document["Statement"] if s["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        )
        assert (allowed["Effect"], allowed["Action"]) == ("Allow", actions)
        assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    (mail,) = of_type(template, "AWS::SNS::Subscription")
    assert (mail["Protocol"], mail["Endpoint"]) == ("email", "on-call@example.com")


def test_a_given_topic_is_used_and_none_is_made(templates: dict[str, Template]) -> None:
    template = templates["Theirs"]
    for kind in ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::KMS::Key", "AWS::CloudWatch::Dashboard"):
        assert of_type(template, kind) == []
    for alarm in of_type(template, "AWS::CloudWatch::Alarm"):
        assert alarm["AlarmActions"] == [TOPIC]


def test_widgets_lie_side_by_side_on_a_grid_of_24_columns(templates: dict[str, Template]) -> None:
    for name in ("Made", "Bare"):
        taken: set[tuple[int, int]] = set()
        for widget in body(templates[name])["widgets"]:
            cells = {
                (x, y)
                for x in range(widget["x"], widget["x"] + widget["width"])
                for y in range(widget["y"], widget["y"] + widget["height"])
            }
            assert widget["x"] + widget["width"] <= 24
            assert taken.isdisjoint(cells), widget["properties"].get("title")
            taken |= cells


def test_the_first_row_is_the_numbers_to_look_at(dashboard: dict[str, Any]) -> None:
    first = [w["properties"] for w in dashboard["widgets"] if w["y"] == 0]
    assert [p["title"] for p in first] == [
        "Requests/s", "Errors", "Latency p95, s", "First token p95, s", "Instances", "Cost, $/h",
    ]  # fmt: skip
    for properties in first:
        assert properties["view"] == "singleValue"
        (_,) = (m for m in properties["metrics"] if m[-1].get("visible", True))


def test_expressions_use_ids_that_their_widget_has(dashboard: dict[str, Any]) -> None:
    functions = {"PERIOD", "FILL"}
    for widget in dashboard["widgets"]:
        options = [metric[-1] for metric in metrics_of(widget)]
        ids = [o["id"] for o in options if "id" in o]
        assert len(ids) == len(set(ids))
        assert all(re.fullmatch(r"[a-z]\w*", id_) for id_ in ids)
        for expression in (o["expression"] for o in options if "expression" in o):
            if not expression.startswith(("SELECT", "SEARCH")):
                assert set(re.findall(r"[A-Za-z_]\w*", expression)) <= {*ids, *functions}


def test_what_is_shown_is_of_this_endpoint_and_region(dashboard: dict[str, Any]) -> None:
    for namespace, _, dimensions in shown(dashboard):
        assert dimensions == (GATEWAY_DIMENSIONS if namespace == NAMESPACE else SAGEMAKER_DIMENSIONS)
    for widget in dashboard["widgets"]:
        if widget["type"] == "metric":
            assert widget["properties"]["region"] == "eu-west-1"


def test_adapters_with_most_requests_and_errors_are_asked_for(dashboard: dict[str, Any]) -> None:
    queries = [
        metric[0]["expression"]
        for widget in dashboard["widgets"]
        for metric in metrics_of(widget)
        if metric[-1].get("expression", "").startswith("SELECT")
    ]
    assert queries == [
        f'SELECT SUM({metric}) FROM SCHEMA("LoraServing", Endpoint, Variant, Adapter) '  # noqa: S608
        f"WHERE Endpoint = '{ENDPOINT}' AND Variant = 'AllTraffic' "
        "GROUP BY Adapter ORDER BY SUM() DESC LIMIT 10"
        for metric in ("Requests", "Errors")
    ]


def test_the_cost_is_that_of_the_instances_that_there_are(
    dashboard: dict[str, Any], templates: dict[str, Template]
) -> None:
    (cost,) = (w for w in dashboard["widgets"] if w["properties"].get("title") == "Cost")
    emitted, instances, dollars = metrics_of(cost)
    assert emitted[1:2] == ["Instances"]
    assert emitted[-1]["stat"] == "Sum"
    # Each instance emits 1 every 60 s: in 300 s five times.
    assert instances[0]["expression"] == "emitted * 60 / PERIOD(emitted)"
    assert dollars[0]["expression"] == "instances * 7.09"
    assert "Cost" not in str(body(templates["Bare"]))


def test_every_alarm_is_on_the_dashboard(dashboard: dict[str, Any]) -> None:
    (states,) = (w["properties"]["alarms"] for w in dashboard["widgets"] if w["type"] == "alarm")
    prefix = f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{ENDPOINT}-"
    assert states == [prefix + name for name in ALARMS]


def test_the_first_steps_and_the_log_are_on_the_dashboard(dashboard: dict[str, Any]) -> None:
    (words,) = (w["properties"]["markdown"] for w in dashboard["widgets"] if w["type"] == "text")
    assert f"/aws/sagemaker/Endpoints/{ENDPOINT}" in words


def test_the_same_values_give_the_same_dashboard_byte_for_byte(templates: dict[str, Template]) -> None:
    (made,), (again,) = (of_type(templates[name], "AWS::CloudWatch::Dashboard") for name in ("Made", "Again"))
    assert made["DashboardBody"] == again["DashboardBody"]


def test_cfn_lint_finds_nothing(files: dict[str, Path]) -> None:
    assert cfn_lint(files.values()) == ""
