"""Adapter metrics, for Prometheus and for CloudWatch."""

import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from container.gateway.adapters.registry import Adapter
from container.gateway.adapters.residency import USES, Residency
from container.gateway.errors import ADAPTER_LOAD_FAILED, adapter_error
from container.gateway.request_context import RequestContext, Usage
from container.gateway.telemetry.adapter_metrics import MAX_VALUES, AdapterMetrics
from container.gateway.telemetry.names import NAMESPACE
from tests.unit.container.gateway.telemetry.emf import check_emf


def metrics(max_adapters: int = 10) -> AdapterMetrics:
    return AdapterMetrics(endpoint="lora-dev", variant="AllTraffic", max_adapters=max_adapters)


def context(adapter: str | None, error: str | None = None, *, first: float | None = None) -> RequestContext:
    found = RequestContext("/invocations", adapter=adapter, usage=Usage(7, 3), first_token_seconds=first)
    found.base_model = adapter is None and error is None
    found.finish(500 if error else 200, error)
    return found


def lines(subject: AdapterMetrics) -> list[dict[str, Any]]:
    return [json.loads(line) for line in subject.emf_lines()]


def samples(subject: AdapterMetrics) -> dict[tuple[str, str, str], float]:
    text = subject.prometheus().decode()
    return {
        (sample.name, sample.labels.get("adapter", ""), sample.labels.get("error_type", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_and_tokens_are_counted_for_each_adapter() -> None:
    subject = metrics()
    for each in (context("otter"), context("otter"), context("otter", "timeout"), context(None)):
        subject.served(each)
    found = samples(subject)
    assert found["lora_requests_total", "otter", ""] == 2
    assert found["lora_requests_total", "otter", "timeout"] == 1
    assert found["lora_requests_total", "__base_model__", ""] == 1
    assert found["lora_prompt_tokens_total", "otter", ""] == 21
    assert found["lora_generated_tokens_total", "otter", ""] == 9
    assert found["lora_request_seconds_count", "otter", ""] == 2, "errors have no latency"


def test_an_emf_line_has_what_its_directive_names() -> None:
    subject = metrics()
    subject.served(context("otter", first=0.25))
    subject.served(context("otter", "timeout"))
    subject.loaded(Adapter("otter", "0" * 16, 1), 1.5, None)
    (line,) = lines(subject)
    check_emf(line)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert directive["Dimensions"] == [["Endpoint", "Variant", "Adapter"], ["Endpoint", "Variant"]]
    assert (line["Endpoint"], line["Variant"], line["Adapter"]) == ("lora-dev", "AllTraffic", "otter")
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert set(units) == set(line) - {"_aws", "Endpoint", "Variant", "Adapter"}
    assert (line["Requests"], line["Errors"], line["Errors.timeout"]) == (2, 1, 1)
    assert (line["PromptTokens"], line["GeneratedTokens"]) == (14, 6)
    assert (line["TimeToFirstToken"], line["AdapterLoads"], line["AdapterLoadTime"]) == ([0.25], 1, [1.5])
    assert len(line["Latency"]) == 1
    assert (units["Requests"], units["Latency"]) == ("Count", "Seconds")


def test_an_answer_of_another_model_is_emitted_for_its_adapter() -> None:
    subject = metrics()
    subject.served(context("otter", "wrong_adapter"))
    (line,) = lines(subject)
    assert (line["Errors"], line["Errors.wrong_adapter"]) == (1, 1)


def test_an_interval_is_emitted_once() -> None:
    subject = metrics()
    subject.served(context("otter"))
    assert len(lines(subject)) == 1
    assert lines(subject) == []


def test_a_line_has_no_more_values_than_cloudwatch_takes_and_all_requests() -> None:
    subject = metrics()
    for _ in range(5 * MAX_VALUES):
        subject.served(context("otter"))
    (line,) = lines(subject)
    assert len(line["Latency"]) == MAX_VALUES
    assert line["Requests"] == 5 * MAX_VALUES


def test_adapters_above_the_cap_share_a_series() -> None:
    subject = metrics(max_adapters=2)
    for name in ("a", "b", "c", "d", "a"):
        subject.served(context(name))
    assert {line["Adapter"]: line["Requests"] for line in lines(subject)} == {"a": 2, "b": 1, "__others__": 2}


def test_names_that_are_not_registered_get_no_series() -> None:
    subject = metrics()
    for _ in range(50):
        subject.served(context(None, "adapter_not_found"))
    assert [line["Adapter"] for line in lines(subject)] == ["__unknown__"]


def test_failed_loads_are_counted() -> None:
    subject = metrics()
    subject.loaded(Adapter("otter", "0" * 16, 1), 0.5, adapter_error(ADAPTER_LOAD_FAILED, "broken"))
    (line,) = lines(subject)
    assert (line["AdapterLoads"], line["AdapterLoadErrors"]) == (1, 1)
    assert samples(subject)["lora_adapter_loads_total", "otter", "adapter_load_failed"] == 1


def report(**hits: int) -> Residency:
    """A report in which each adapter has as many slot hits, and one load."""
    uses = {
        f"adapters/{name}/{'0' * 16}/": dict.fromkeys(USES, 0) | {"slot_hits": count, "disk_loads": 1}
        for name, count in hits.items()
    }
    return Residency(frozenset(), frozenset(), uses)


def test_what_the_engine_reports_is_counted_as_it_grows_and_is_no_metric_of_cloudwatch() -> None:
    subject = metrics()
    subject.resident(None)
    subject.resident(report(otter=2))
    (line,) = lines(subject)
    check_emf(line)
    assert (line["AdapterSlotHits"], line["AdapterDiskLoads"], line["AdapterMemoryHits"]) == (2, 1, 0)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert not directive["Metrics"]
    subject.resident(report(otter=5, heron=1))
    subject.resident(report(otter=5, heron=1))
    heron, otter = lines(subject)
    assert (heron["Adapter"], heron["AdapterSlotHits"], heron["AdapterDiskLoads"]) == ("heron", 1, 1)
    assert (otter["Adapter"], otter["AdapterSlotHits"], otter["AdapterDiskLoads"]) == ("otter", 3, 0)
    assert samples(subject)["lora_adapter_slot_hits_total", "otter", ""] == 5
