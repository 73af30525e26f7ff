"""The commands `release show`, `diff`, `resume` and `unlock`."""

import io
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from loraserve.adapters import open_store
from loraserve.adapters.stage_store import StageStore
from loraserve.cli.commands import app
from loraserve.cli.release import tables
from loraserve.release.ledger import Ledger
from loraserve.release.record import DeploymentKind, Outcome
from stacks.project import ROOT
from tests.harness.bucket import Bucket
from tests.harness.ledger import new_ledger, record

IMAGE = "sha256:" + "a" * 64


@pytest.fixture
def ledgers(laptop_client: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Ledger]:
    """The ledgers of two deployed stages."""
    found = {stage: new_ledger(laptop_client("s3"), stage) for stage in ("staging", "prod")}

    def opened(stage: str, *_: object, **__: object) -> StageStore:
        return StageStore(open_store.find_stage(stage), found[stage].s3, found[stage].bucket)

    monkeypatch.setattr(open_store, "open_store", opened)
    return found


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["release", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def in_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_a_stage_without_a_record_says_so(ledgers: dict[str, Ledger]) -> None:
    assert "prod: no deployment that serves is recorded" in run("show", "prod")
    assert in_json("show", "prod")["current"] is None


def test_show_has_what_serves_the_history_the_hold_and_the_lock(ledgers: dict[str, Ledger]) -> None:
    prod = ledgers["prod"]
    prod.write(record("2026-11-26-0000000", 1, image_digest=IMAGE))
    prod.write(
        record("2026-11-27-1a2b3c4", 2, outcome=Outcome.FAILED, reason="[alarm] rose", approved_by="ann")
    )
    prod.set_hold("answers are wrong", "bob@laptop")
    with prod.lock(DeploymentKind.ROLLBACK, release="2026-11-26-0000000", run="https://ci.example/run/7"):
        shown, document = run("show", "prod"), in_json("show", "prod")
    assert "release 2026-11-26-0000000 serves since 2024-01-02T13:00:00Z, verified" in shown
    assert "sha256:aaaaaaaaaaaa…" in shown
    assert "by bob@laptop: answers are wrong" in shown
    assert "locked by the rollback of 2026-11-26-0000000 since" in shown
    assert "https://ci.example/run/7" in shown
    assert "[alarm] rose" in shown
    assert shown.index("1a2b3c4") < shown.rindex("0000000")
    assert document["current"]["release"] == "2026-11-26-0000000"
    assert [each["outcome"] for each in document["records"]] == ["failed", "verified"]
    assert document["hold"]["reason"] == "answers are wrong"
    assert document["lock"]["run"] == "https://ci.example/run/7"
    assert len(in_json("show", "prod", "--limit", "1")["records"]) == 1


def test_show_fits_into_80_columns(ledgers: dict[str, Ledger]) -> None:
    prod = ledgers["prod"]
    reason = "answers are wrong since noon"
    prod.write(
        record(
            "2026-11-27-1a2b3c4", 1, kind=DeploymentKind.ROLLBACK, outcome=Outcome.UNVERIFIED, reason=reason
        )
    )
    prod.write(
        record(
            None, 2, kind=DeploymentKind.BREAK_GLASS, reason="the alarm of the last night", commit="5" * 40
        )
    )
    console = Console(width=80, file=io.StringIO())
    for part in tables.ledger("prod", prod.current(), prod.records(10), None, None):
        console.print(part)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    # Words, not letters: no line of a reason is shorter than its shortest word.
    lines = [line[-20:].split() for line in shown.splitlines()]
    assert {word for line in lines for word in line} >= {"answers", "since", "noon", "alarm", "night"}
    assert "5555555" in shown


def test_resume_ends_the_hold_and_unlock_removes_the_lock(ledgers: dict[str, Ledger]) -> None:
    prod = ledgers["prod"]
    assert "not held" in run("resume", "prod")
    prod.set_hold("answers are wrong", "bob@laptop")
    assert "answers are wrong" in run("resume", "prod")
    assert prod.hold() is None
    assert "not locked" in run("unlock", "prod")
    with prod.lock(DeploymentKind.PROMOTION, release="r1"):
        assert in_json("unlock", "prod") == {"stage": "prod", "removed": True}


def test_diff_names_what_the_second_stage_lacks(ledgers: dict[str, Ledger]) -> None:
    newer, older = commits()
    ledgers["staging"].write(record("r2", 2, commit=newer, image_digest=IMAGE, templates={"Serving": "1"}))
    ledgers["prod"].write(record("r1", 1, commit=older, image_digest=IMAGE, templates={"Serving": "2"}))
    bucket = Bucket(ledgers["staging"].s3)
    bucket.name = ledgers["staging"].bucket
    entry = bucket.publish("otter", {"adapter_config.json": b"{}"})
    shown, document = run("diff", "staging", "prod"), in_json("diff", "staging", "prod")
    same = {each["field"]: each["same"] for each in document["fields"]}
    assert same == {
        "release": False, "commit": False, "archive": None, "outcome": True, "image": True,
        "instance type": None, "stacks": True,
    }  # fmt: skip
    [missing] = document["missing_commits"]
    assert newer.startswith(missing.split()[0])
    assert document["adapters"] == [
        {"name": "otter", "giving": entry.revision, "taking": None, "is_declared": True}
    ]
    assert "commits that prod lacks: 1" in shown
    assert "otter" in shown


def test_diff_of_stages_without_records_and_of_unknown_commits(ledgers: dict[str, Ledger]) -> None:
    assert "not known" in run("diff", "staging", "prod")
    ledgers["staging"].write(record("r2", 2, commit="0" * 40))
    ledgers["prod"].write(record("r2", 1, commit="--output=x"))
    assert in_json("diff", "staging", "prod")["missing_commits"] is None


def commits() -> tuple[str, str]:
    """The last commit of this repository that is no merge, and its parent."""
    command = ["git", "rev-list", "--no-merges", "-1", "HEAD"]
    newer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return newer, f"{newer}^"
