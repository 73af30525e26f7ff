"""The command `deploy`: the doctor before it, the checks after it, and the end of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from loraserve import aws, cdk, deploy
from loraserve.check_report import TableLine
from loraserve.cli.commands import app
from loraserve.doctor import examination
from loraserve.finding import Finding, ok, problem, unknown, warning
from loraserve.promotion import by_hand
from loraserve.verify import expected, verification

QUOTA = problem("quota", "0 of ml.g5.xlarge", "ask for more")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of the command that were done, in order; those that need an account do nothing else."""
    done: list[str] = []

    def step(module: Any, name: str) -> None:
        monkeypatch.setattr(module, name, lambda *_, **__: done.append(name))

    monkeypatch.setattr(aws, "client_factory", lambda *_: None)
    monkeypatch.setattr(cdk, "interactive", lambda *arguments, **_: done.append(arguments[0]))
    step(deploy, "deploy")
    monkeypatch.setattr(by_hand, "recorded", lambda *_: nullcontext())
    step(expected, "expected_of_assembly")
    verifies(monkeypatch, done, ok("config", "that of the stack"))
    finds(monkeypatch, ok("caller", "me"))
    return done


def finds(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    def examine(*_: Any) -> Iterator[TableLine]:
        yield from (TableLine("Account", finding) for finding in findings)

    monkeypatch.setattr(examination, "examine", examine)


def verifies(monkeypatch: pytest.MonkeyPatch, done: list[str], *findings: Finding) -> None:
    def verify(*_: Any, **__: Any) -> Iterator[TableLine]:
        done.append("verify")
        yield from (TableLine("Endpoint", finding) for finding in findings)

    monkeypatch.setattr(verification, "verify", verify)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["deploy", "dev", *arguments])


ALL = ["synth", "deploy", "expected_of_assembly", "verify"]


def test_a_problem_ends_the_command_before_anything_is_changed(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finds(monkeypatch, ok("caller", "me"), QUOTA)
    done = run()
    assert (done.exit_code, calls) == (1, [])
    assert "0 of ml.g5.xlarge" in done.output
    assert "--skip-doctor" in done.output


def test_what_the_doctor_could_not_check_does_not_end_it(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finds(monkeypatch, unknown("quota", "may not ask"))
    assert (run().exit_code, calls) == (0, ALL)


def test_the_doctor_and_the_checks_can_be_skipped(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    finds(monkeypatch, QUOTA)
    assert (run("--skip-doctor").exit_code, calls) == (0, ALL)
    calls.clear()
    assert (run("--skip-doctor", "--skip-checks").exit_code, calls) == (0, ["synth", "deploy"])


def test_a_problem_of_the_verification_is_an_error_and_a_warning_is_none(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verifies(monkeypatch, calls, warning("metrics", "no metric came"))
    assert run().exit_code == 0
    verifies(monkeypatch, calls, problem("base model", "no answer", "look at the log"))
    done = run()
    assert done.exit_code == 1
    assert "stage 'dev' is deployed, and its verification found problems" in done.output


@pytest.mark.parametrize(
    ("module", "step", "state"),
    [
        (examination, "examine", "nothing was changed"),
        (deploy, "deploy", "CloudFormation continues"),
        (verification, "verify", "the stage is deployed; its checks were not completed"),
    ],
)
def test_ctrl_c_reports_the_state_that_it_leaves(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, module: Any, step: str, state: str
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, interrupt)
    done = run()
    assert done.exit_code == 130
    assert f"interrupted; {state}" in done.output


def test_the_local_stage_is_refused(calls: list[str]) -> None:
    done = CliRunner().invoke(app, ["deploy", "local"])
    assert (done.exit_code, calls) == (2, [])
