"""The usual comparison, which is that of the command without options."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from loraserve.cli.commands import app
from loraserve.simulation.errors import SimulationError
from loraserve.simulation.result import as_json
from loraserve.simulation.simulated_traffic import SimulatedTraffic, parse_traffic
from loraserve.simulation.usual_comparison import usual_comparison
from loraserve.workload.workload import BASE, Workload

TRACE = "synthetic:week,rate=0.05,days=1"


def test_its_policies_do_as_the_commands() -> None:
    options = ["--trace", TRACE, "--metric", "concurrent", "--targets", "10,21"]
    done = CliRunner().invoke(app, ["simulate-autoscaling", *options, "--json"])
    assert done.exit_code == 0, done.output
    found = usual_comparison(TRACE, parse_traffic(TRACE, 1.0, 0), targets=[10, 21])
    assert json.loads(as_json(found)) == json.loads(done.stdout)


def test_traffic_that_is_shorter_than_the_warm_up_is_refused() -> None:
    tokens = np.array([60, 64], np.int32)
    adapter = np.full(2, BASE, np.int32)
    requests = Workload(
        due_s=np.array([0.0, 600.0]), adapter=adapter, input_tokens=tokens, output_tokens=tokens
    )
    short = SimulatedTraffic(requests)
    with pytest.raises(SimulationError, match="give a shorter one"):
        usual_comparison("short", short)
