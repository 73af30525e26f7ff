"""The command `load-test` against the null endpoint: what it counts, its exit codes and its files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.null_endpoint import null_endpoint, read_counts
from loraserve.cli.commands import app
from loraserve.load.document import read_document
from stacks.project import ROOT

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
ADAPTERS = ",".join(f"team/{number}" for number in range(1, 13))
FAULTS = {"wrong-adapter": 50, "cut": 100, "model-error": 100}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A null endpoint that answers after 20 ms."""
    with null_endpoint("--keys", "key:secret", "--first-token-s", "0.02") as found:
        yield found


def load_test(url: str, *options: str) -> Any:
    return CliRunner().invoke(
        app, ["load-test", "endpoint", "--endpoint-url", url, "--region", "eu-central-1", *options]
    )


def test_each_planted_fault_is_counted_once(tmp_path: Path) -> None:
    faults = [f"--fault={kind}={every}" for kind, every in FAULTS.items()]
    path = tmp_path / "run.json"
    with null_endpoint("--keys", "key:secret", *faults) as faulty:
        done = load_test(
            faulty, "--clients", "8", "--requests", "600", "--adapters", ADAPTERS, "--output", "fixed:4",
            "--base-share", "0.1", "--popularity", "uniform", "--json", str(path),
        )  # fmt: skip
    assert done.exit_code == 1, done.output
    summary = read_document(path)["summary"]
    assert summary["outcomes"] == {"ok": 588, "stream cut off": 6, "model error": 6}
    assert summary["checks"] == {"right": 576, "wrong adapter": 12}
    assert summary["goodput"] == 576 / 600
    assert (summary["wrong"], summary["errors"]) == (12, 12)
    assert sum(one["requests"] for one in summary["adapters"]) == 600


def test_an_endpoint_without_faults_has_none(url: str, tmp_path: Path) -> None:
    before = read_counts(url)["requests"]
    done = load_test(
        url, "--clients", "8", "--requests", "200", "--adapters", ADAPTERS, "--output", "fixed:4", "--json", "-",
        "--plot", str(tmp_path), "--fail-under", "goodput=1", "--slo", "e2e=10s",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["summary"]["checks"] == {"right": 200}
    assert document["summary"]["output_tokens"] == 800
    assert document["warnings"] == []
    # One more for each adapter and for the base model: their answers to the same prompt are compared.
    assert read_counts(url)["requests"] - before == 200 + 12 + 1
    for name in ("latencies", "timeline", "adapters"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_goodput_below_the_least_one_fails(url: str) -> None:
    done = load_test(
        url,
        "--clients",
        "2",
        "--requests",
        "4",
        "--slo",
        "e2e=1ms",
        "--fail-under",
        "goodput=0.99",
        "--no-stream",
    )
    assert done.exit_code == 1, done.output
    assert "0.00%" in done.stdout


def test_withheld_requests_make_the_run_invalid(url: str) -> None:
    done = load_test(url, "--rate", "300", "--duration", "0.5", "--max-in-flight", "1", "--output", "fixed:1")
    assert done.exit_code == 3, done.output
    assert "--max-in-flight" in done.stdout
    assert "INVALID" in done.stdout


def test_a_sweep_ends_when_goodput_is_low(url: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    done = load_test(
        url,
        "--rates",
        "10,20,30",
        "--duration",
        "0.5",
        "--slo",
        "e2e=1ms",
        "--output",
        "fixed:1",
        "--json",
        str(path),
    )
    assert done.exit_code in (0, 3), done.output  # 3: another process had the core
    assert len(json.loads(path.read_text())["runs"]) == 1


def test_ctrl_c_writes_the_part_until_then(url: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    before = read_counts(url)["requests"]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "loraserve", "load-test", "endpoint", "--endpoint-url", url, "--region",
            "eu-central-1", "--rate", "20", "--duration", "100", "--output", "fixed:1", "--json", str(path),
        ],
        cwd=ROOT, env=os.environ | KEYS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while read_counts(url)["requests"] < before + 5 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    document = read_document(path)
    assert document["complete"] is False
    assert len(document["requests"]["due_s"]) >= 4
    assert "interrupted" in printed


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "give --rate"),
        (["--rate", "1", "--clients", "2"], "use one of them"),
        (["--rates", "1,x"], "write numbers above 0"),
        (["--rates", "1,2", "--fail-under", "goodput=0.9"], "is for one run"),
        (["--clients", "2"], "give --requests"),
        (["--rate", "1", "--slo", "e2e"], "is not a bound"),
        (["--rate", "1", "--fail-under", "0.9"], "write goodput=0.99"),
        (["--rate", "1", "--arrivals", "evenly"], "use poisson"),
        (["--rate", "1", "--prompts", "/absent"], "cannot be read"),
        (["--rate", "1", "--adapters", "a,a"], "is there twice"),
        (["--rate", "1", "--json", "/absent/run.json"], "create its folder"),
        (["--rate", "1", "--export", "wrk", "x.json"], "use aiperf"),
        (["--rate", "0.01", "--duration", "1", "--arrivals", "poisson"], "no request is due"),
        (["--rate", "5", "--duration", "3", "--warm-up", "9"], "no request is due after it"),
    ],
)
def test_an_unusable_argument_is_refused_before_anything_is_sent(options: list[str], problem: str) -> None:
    done = load_test("http://127.0.0.1:9", *options)
    assert done.exit_code == 2, done.output
    assert problem in " ".join(done.output.replace("│", " ").split())


def test_an_endpoint_that_does_not_answer_fails_the_test(tmp_path: Path) -> None:
    done = load_test(
        "http://127.0.0.1:9", "--clients", "2", "--requests", "4", "--adapters", "a", "--plot", str(tmp_path)
    )
    assert done.exit_code == 1, done.output
    assert "4 × no connection" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["timeline.png"]


def test_an_export_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inputs.json"
    done = load_test("http://127.0.0.1:9", "--rate", "10", "--requests", "5", "--export", "aiperf", str(path))
    assert done.exit_code == 0, done.output
    assert len(json.loads(path.read_text())["data"]) == 5
