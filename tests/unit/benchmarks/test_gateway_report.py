"""Rows of the gateway benchmark's report."""

from typing import Any

from benchmarks.gateway_report import COLUMNS, markdown, rows, table

MEDIANS = {
    "engine_rps": 12000.0,
    "gateway_rps": 1499.0,
    "cpu_us": 350.4,
    "core_busy": 0.98,
    "engine_p50_ms": 0.2,
    "gateway_p50_ms": 0.9,
    "engine_p99_ms": 0.4,
    "gateway_p99_ms": 5.5,
    "engine_event_p50_ms": 0.1,
    "gateway_event_p50_ms": 0.25,
    "translated_event_p50_ms": 0.45,
    "engine_event_p99_ms": 0.3,
    "gateway_event_p99_ms": 1.3,
}
OVERHEAD = {
    "medians": MEDIANS,
    "rounds": [MEDIANS | {"gateway_p50_ms": 2.0, "cpu_us": 500.0}, MEDIANS | {"engine_p50_ms": 0.3}, MEDIANS],
}


def throughput(**wrong: int) -> dict[str, Any]:
    base = {"gateway_base": 800.0, "engine_base": 1000.0, "gateway_zipf": 350.0}
    first = base | {"gateway_one": 500.0, "engine_one": 600.0, "gateway_fifty": 450.0, "engine_fifty": 570.0}
    second = first | {"gateway_fifty": 550.0}
    third = first | {"gateway_one": 400.0, "gateway_fifty": 400.0}
    nothing = {"errors": 0, "wrong_adapter": 0, "wrong_answer": 3, "wrong_length": 0}
    return {
        "rounds": [first, second, third],
        "medians": first,
        "requests": 80,
        "wrong": nothing | wrong,
        "client_share": 0.12,
    }


COLD_MEDIANS = {"first_s": 0.2, "again_s": 0.05, "probe_s": 0.03, "download_s": 0.1, "load_s": 0.02}
COLD = {
    "medians": COLD_MEDIANS,
    "rounds": [COLD_MEDIANS, COLD_MEDIANS | {"first_s": 0.3}],
    "bytes": 39_853_280,
}


def test_what_the_gateway_adds_is_the_difference_to_the_engine_alone() -> None:
    found = {row.what: row for row in rows({"overhead": OVERHEAD})}

    p50 = found["latency p50 at 300 requests/s"]
    assert (p50.reference, p50.measured) == ("0.20 ms", "0.90 ms")
    assert (p50.result, p50.met) == ("+0.70 ms (+0.60 to +1.80)", True)
    assert found["latency p99 at 300 requests/s"].met is False
    assert found["event of a stream, p50, 20 streams"].met is True
    assert found["event of a stream, p99, 20 streams"].met is None
    assert found["the same, translated to LoRAX's schema, p50, 20 streams"].measured == "0.45 ms"


def test_requests_per_second_are_reported_with_their_cost() -> None:
    row = rows({"overhead": OVERHEAD})[0]

    assert row.cells == (
        "requests/s, gateway on one core",
        "12,000 (null engine alone)",
        "1,499",
        "350 µs each on 98% of the core (350 to 500)",
        "≥ 1,500 ✗",
    )


def test_a_ratio_is_the_median_of_the_rounds_with_lowest_and_highest() -> None:
    found = {row.what.removeprefix("output tokens/s: "): row for row in rows({"throughput": throughput()})}

    fifty = found["50 adapters ÷ one adapter, through the gateway"]
    assert fifty.cells == (
        "output tokens/s: 50 adapters ÷ one adapter, through the gateway",
        "500",
        "450",
        "1.000 (0.90 to 1.10)",
        "≥ 0.95 ✓",
    )
    assert found["50 adapters ÷ one adapter, engine alone"].result == "0.950 (0.95 to 0.95)"
    assert found["base model, gateway ÷ engine alone"].met is None
    assert found["500 adapters by Zipf's law, 50 resident ÷ one adapter"].met is False
    assert found["load generator, share of a core, most"].measured == "12%"


def test_one_wrong_adapter_is_one_too_many() -> None:
    [row] = [row for row in rows({"throughput": throughput(wrong_adapter=1)}) if "wrong adapters" in row.what]

    assert row.cells[0] == "errors, wrong adapters, wrong lengths among 1,680 answers"
    assert (row.measured, row.met) == ("0, 1, 0", False)


def test_a_cold_request_is_compared_with_download_and_load() -> None:
    first, fetched, *steps = rows({"cold": COLD})

    assert first.what == "first request to a cold adapter of 40 MB"
    assert first.reference == "0.120 s (download 0.100, load 0.020)"
    assert (first.result, first.met) == ("1.67 (1.67 to 2.50)", False)
    assert (fetched.result, fetched.met) == ("1.00 (1.00 to 1.83)", None)
    assert [step.measured for step in steps] == ["0.030 s", "0.050 s"]


def test_parts_that_were_not_measured_have_no_rows() -> None:
    assert rows({}) == []
    assert len(rows({"overhead": OVERHEAD, "throughput": throughput(), "cold": COLD})) == 20


def test_markdown_is_a_table_with_every_cell() -> None:
    lines = markdown(rows({"cold": COLD})).splitlines()

    assert lines[0].count("|") == lines[1].count("|") == len(COLUMNS) + 1
    assert lines[2].startswith("| first request to a cold adapter of 40 MB | 0.120 s")
    assert lines[5] == "| the same request again | | 0.050 s | | |"


def test_the_table_of_the_terminal_has_the_same_rows() -> None:
    found = rows({"overhead": OVERHEAD, "cold": COLD})

    assert table("The gateway", found).row_count == len(found)
