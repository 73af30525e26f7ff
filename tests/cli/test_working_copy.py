"""Commands in a working copy: an invalid stage file, `make diff`. Run in a clone, which the tests edit."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from stacks.project import ROOT
from tests.harness.working_copy import ENVIRONMENT, working_copy

PYTHON = str(ROOT / ".venv" / "bin" / "python")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A working copy that the test may edit."""
    return working_copy(tmp_path / "clone")


def edit(clone: Path, file: str, old: str, new: str) -> None:
    text = (clone / file).read_text()
    assert old in text
    (clone / file).write_text(text.replace(old, new))


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = ENVIRONMENT | {"PYTHONPATH": str(clone)}
    return subprocess.run(
        [PYTHON, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def test_a_diff_shows_what_changed_and_that_endpoint_is_updated_in_place(clone: Path) -> None:
    edit(clone, "stages/dev.yaml", "max_instances: 2", "max_instances: 3")
    done = run(clone, "-m", "loraserve", "diff", "--stage", "dev")
    assert done.returncode == 0, done.stdout
    assert "Dev/AdapterStore" in done.stdout
    assert "There were no differences" in done.stdout
    assert "[~] AWS::ApplicationAutoScaling::ScalableTarget" in done.stdout
    assert "MaxCapacity" in done.stdout
    assert "AWS::SageMaker::Model" not in done.stdout


def test_a_diff_against_an_unknown_revision_says_so(clone: Path) -> None:
    done = run(clone, "-m", "loraserve", "diff", "--base", "no-such-branch", "--stage", "dev")
    assert done.returncode == 1
    assert "name a revision with BASE" in done.stderr


def test_a_broken_stage_file_is_one_line_and_exit_code_2(clone: Path) -> None:
    edit(clone, "stages/dev.yaml", "instance_type", "instanse_type")
    done = run(clone, "app.py")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert (
        "stages/dev.yaml: endpoint.instanse_type: unknown key, did you mean 'instance_type'; valid: "
        "instance_type, instance_count, volume_key, "
    ) in line


def test_a_slip_in_the_prices_is_one_line_and_exit_code_2(clone: Path) -> None:
    edit(clone, "stacks/sizing/prices.yaml", "ml.g5.xlarge: 1.408", "ml.g5.xlarge: free")
    done = run(clone, "app.py")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{clone / 'stacks' / 'sizing' / 'prices.yaml'}: ")
    assert "instance_hour.ml.g5.xlarge: 'free': write a number above 0" in line


def test_a_synth_reports_what_each_stage_costs_and_what_an_update_needs(clone: Path) -> None:
    done = run(clone, "app.py")
    assert done.returncode == 0
    for stage in ("Dev", "Local", "Prod", "Staging"):
        line = rf"(?m)^{stage}: about USD per month: [\d,]+ at .*needs a quota of \d+; scales at \d+ requests .*$"
        assert re.search(line, done.stderr), done.stderr


def test_demo_does_not_start_anything_for_a_broken_local_stage(clone: Path) -> None:
    edit(clone, "stages/local.yaml", "max_input_tokens: 256", "max_input_tokens: 2560")
    done = run(clone, "-m", "loraserve", "demo")
    assert done.returncode == 2
    assert "max_input_tokens must be below max_total_tokens" in done.stderr
    assert not (clone / "out").exists()


def test_invoke_without_a_laptop_cloud_says_how_to_get_one(clone: Path) -> None:
    done = run(clone, "-m", "loraserve", "invoke", "hello")
    assert done.returncode == 1
    assert "start it with 'make up'" in done.stderr


@pytest.mark.parametrize(
    ("target", "message"), [("invoke", "make invoke needs PROMPT"), ("deploy", "make deploy needs STAGE")]
)
def test_a_make_target_without_its_argument_says_what_it_needs(target: str, message: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PROMPT", "STAGE", "MAKEFLAGS"}
    }
    done = subprocess.run(
        ["make", target], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
