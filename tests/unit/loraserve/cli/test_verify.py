"""The commands `verify` and `repair`: exit codes, the sentence about a silent rollback, the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from loraserve import aws
from loraserve.adapters import open_store
from loraserve.check_report import TableLine
from loraserve.cli.commands import app
from loraserve.finding import Finding, ok, problem, unknown, warning
from loraserve.verify import recorded, verification
from loraserve.verify.serving import SILENT_ROLLBACK

GOOD = (ok("config", "that of the stack"), warning("drift", "a tag"), unknown("image", "no digest"))
SILENT = problem(SILENT_ROLLBACK, "older serves", "repair it")


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """No account is asked."""
    for module, name in (
        (aws, "client_factory"),
        (open_store, "check_account"),
        (recorded, "expected_of_record"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)


def run(monkeypatch: pytest.MonkeyPatch, *findings: Finding, arguments: tuple[str, ...] = ()) -> Result:
    def verify(*_: Any, **__: Any) -> Iterator[TableLine]:
        yield from (TableLine("Endpoint", finding) for finding in findings)

    monkeypatch.setattr(verification, "verify", verify)
    return CliRunner().invoke(app, ["verify", "dev", *arguments])


def test_a_stage_as_deployed_exits_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, *GOOD)
    assert done.exit_code == 0
    assert "the stage is as it was deployed" in done.output


def test_a_problem_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, problem("image", "another digest", "promote again"))
    assert done.exit_code == 1
    assert "the stage is not as it was deployed" in done.output
    assert "did not take effect" not in done.output


def test_a_silent_rollback_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, *GOOD, SILENT)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith(
        "✗ the deployment did not take effect: SageMaker rolled it"
    )


def test_the_document_is_printed_with_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, *GOOD, SILENT, arguments=("--json",))
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["summary"] == {"ok": 1, "problem": 1, "warning": 1, "unknown": 1}
    assert document["findings"][-1]["check"] == SILENT_ROLLBACK


@pytest.mark.parametrize("command", ["verify", "repair"])
def test_the_local_stage_is_refused(command: str) -> None:
    assert CliRunner().invoke(app, [command, "local"]).exit_code == 2
