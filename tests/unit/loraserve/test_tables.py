"""Tables in 80 columns: no line is longer, and no figure is shortened."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.table import Table

from loraserve.load.check import AnswerCheck
from loraserve.load.percentiles import TimeFigures
from loraserve.load.report import adapters, latencies, sweep
from loraserve.load.summary import AdapterResults, summarize
from loraserve.plan.planning import make_plan
from loraserve.plan.text import plan_text
from tests.unit.loraserve.load import made
from tests.unit.loraserve.plan.questions import question

#: Of an endpoint that answers after minutes.
TIMES = TimeFigures(count=100_000, mean=98.765, p50=98.765, p90=99.99, p95=99.99, p99=100.12, max=100.123)
SUMMARY = replace(
    summarize([made.result(0)], [AnswerCheck.RIGHT], made.workload(["otter"])),
    **{f"{name}_s": TIMES for name in ("latency", "service", "ttft", "ttft_service", "itl", "cold", "warm")},
    answered_rps=123.45,
    output_tokens_per_s=12345.6,
)
RUN = SimpleNamespace(summary=SUMMARY, run=SimpleNamespace(health=SimpleNamespace(valid=False)))
ADAPTER = AdapterResults(
    name="a" * 50, requests=10_000, errors=1234, wrong=1234, goodput=1.0, latency_s=TIMES, output_tokens=1
)


def printed(table: Table) -> str:
    """Return the table on a terminal of 80 columns."""
    console = Console(width=80, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "table",
    [sweep([(123.45, RUN)]), latencies(SUMMARY), adapters([ADAPTER])],
    ids=["sweep", "times", "adapters"],
)
def test_the_figures_of_a_load_test(table: Table) -> None:
    text = printed(table)
    assert "…" not in text
    assert "100.12" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_plan_of_several_instance_types() -> None:
    plan = make_plan(
        question(tokens=(2000, 500)), slots=[1, 8, 50, 64], instances=["ml.g5.xlarge", "ml.g6.12xlarge"]
    )
    lines = plan_text(plan, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    # The columns that do not fit follow below, beside the slots once more.
    assert sum(line.startswith("slots ") for line in lines) == 2
    assert any("$/1k req" in line for line in lines)
