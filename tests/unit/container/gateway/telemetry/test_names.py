"""The names of metrics: documented as they are emitted."""

import re

from container.gateway.telemetry import names
from stacks.project import ROOT

ROW = re.compile(r"^\| (`[^|]+`) \| (Count|Seconds|Bytes|Percent) \|", re.MULTILINE)
PAGE = (ROOT / "docs" / "requests.md").read_text()


def documented(table: str) -> dict[str, str]:
    """Unit by name, in the table whose first column has this title."""
    text = PAGE.partition(f"| metric of {table} | unit |")[2].partition("\n\n")[0]
    return {name: unit for cell, unit in ROW.findall(text) for name in re.findall(r"`([^`]+)`", cell)}


def test_the_documented_metrics_of_an_adapter_are_these() -> None:
    assert documented("an adapter") == {
        **names.ADAPTER_METRICS,
        names.errors_of_type("<error_type>"): "Count",
    }


def test_the_documented_metrics_of_the_instance_are_these() -> None:
    assert documented("the instance") == names.INSTANCE_METRICS


def test_the_documented_namespace_dimensions_and_numbers_are_these() -> None:
    assert f"metrics of the namespace `{names.NAMESPACE}`" in PAGE
    assert f"Their dimensions are {names.ENDPOINT}, {names.VARIANT}, {names.ADAPTER}, and once more" in PAGE
    assert f"Their dimensions are {names.ENDPOINT}, {names.VARIANT}. All are in each line" in PAGE
    text = " ".join(PAGE.split())
    assert f"CloudWatch bills these {len(names.INSTANCE_METRICS)} as custom metrics" in text
    assert f"adds up to {len(names.ADAPTER_METRICS)} and one for each type of error" in text
