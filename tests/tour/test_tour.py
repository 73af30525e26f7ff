"""The notebook docs/tour.ipynb, run by nbclient in the laptop cloud, and torn down also when a cell fails."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tests.harness.outgoing_proxy import OutgoingProxy
from tests.harness.waiting import wait_until
from tests.local.processes import processes_of
from tests.tour.notebook import LIMIT_S, read, run

#: Seconds in which every process has ended after the kernel.
ENDED_S = 60
#: A busy machine has twice the time.
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the kernel's temporary files, and so for the laptop cloud; a real AWS account beside it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("AWS_PROFILE", "real")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    return tmp_path


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[OutgoingProxy]:
    """The proxy of every request that would leave this machine."""
    with OutgoingProxy() as proxy:
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        yield proxy


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells printed."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(output.get("text", "") for output in outputs)


def assert_torn_down(folder: Path) -> None:
    wait_until(lambda: processes_of(folder) == [], "every process has ended", ENDED_S)


def test_every_cell_runs_answers_are_right_and_everything_stops(folder: Path, outside: OutgoingProxy) -> None:
    notebook = read()
    started = time.monotonic()
    run(notebook)
    seconds = time.monotonic() - started
    text = printed(notebook)
    assert "Answer: 72 clips. [Otter]" in text
    assert "unicorn" in text
    assert "Wrong answers: within what the sample models may have" in text
    assert "The laptop cloud's port is closed." in text
    assert_torn_down(folder)
    assert list(folder.glob("tour-*")) == []
    assert outside.asked == []
    print(f"the notebook took {seconds:.0f} s")


def test_a_cell_that_fails_after_the_deployment_leaves_no_process(folder: Path) -> None:
    notebook = read()
    [deployed] = (n for n, cell in enumerate(notebook.cells) if "local_stage.deploy(" in cell.source)
    there = nbformat.v4.new_code_cell("print(local_stage.outputs(cloud)['EndpointName'])")
    failing = nbformat.v4.new_code_cell("raise RuntimeError('a cell that fails')")
    notebook.cells = [*notebook.cells[: deployed + 1], there, failing]
    with pytest.raises(CellExecutionError, match="a cell that fails"):
        run(notebook)
    # The endpoint was there, so that there was something to stop.
    assert there.outputs[0].text.strip()
    assert_torn_down(folder)
