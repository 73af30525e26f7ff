"""Rounds against an endpoint whose answers and speed are known, measured once for all tests of the folder."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loraserve.demo import benchmark
from tests.unit.loraserve.demo.runs import ADAPTERS, KnownEndpoint


@pytest.fixture(scope="package")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], KnownEndpoint, str, Path]:
    picture = tmp_path_factory.mktemp("demo") / "demo.png"
    endpoint, output = KnownEndpoint(), io.StringIO()
    document = benchmark.measure(Console(file=output, width=160), endpoint, ADAPTERS, picture)
    return document, endpoint, output.getvalue(), picture
