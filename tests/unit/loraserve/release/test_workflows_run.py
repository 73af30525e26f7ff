"""Workflow files of promotion, rollback and drift, run by act: order, arguments, credentials and what stops a run.

The commands have other tests: here `make setup` installs a stand-in that notes its call and ends with a given code.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loraserve.release.drift_issue import MARKER
from stacks.project import ROOT
from tests.harness.act import WorkflowRun, run_workflow
from tests.harness.github import REPOSITORY, TOKEN, github_double

#: The stand-in of `.venv/bin/python`: notes arguments and credentials, ends with the code that `codes` has.
COMMAND = """#!/usr/bin/env python3
import json, os, pathlib, sys
_, _, _, command, *arguments = sys.argv
folder = pathlib.Path(os.environ["CALLS"])
job = os.environ["GITHUB_JOB"]
key = os.environ.get("AWS_ACCESS_KEY_ID", "")
with (folder / "calls").open("a") as file:
    release = pathlib.Path("out/release/release.json")
    archive = pathlib.Path("out/release/release.tar")
    print(json.dumps({"command": command, "arguments": arguments, "job": job, "key": key,
        "release": json.loads(release.read_text())["release"] if release.exists() else None,
        "archive": archive.read_text() if archive.exists() else None,
        "token": bool(os.environ.get("GITHUB_TOKEN"))}), file=file)
if "--output" in arguments:
    output = pathlib.Path(arguments[arguments.index("--output") + 1])
    output.mkdir(parents=True)
    (output / "plan.md").write_text("# the plan")
    (output / "record.json").write_text("{}")
codes = json.loads((folder / "codes").read_text())
if "--json" in arguments:
    print((folder / f"{arguments[0]}.json").read_text())
sys.exit(codes.get(f"{job} {os.environ.get('STAGE', '')}", 0))
"""
MAKEFILE = """
release:
\t@mkdir -p out/release
\t@git rev-parse HEAD > out/release/release.tar
\t@printf '{\\n "release": "2026-11-27-%s"\\n}\\n' $$(git rev-parse --short HEAD) > out/release/release.json
setup:
\t@mkdir -p .venv/bin && cp command .venv/bin/python && chmod +x .venv/bin/python
"""
ENVIRONMENTS = [
    f"{stage}{kind}" for stage in ("dev", "staging", "prod") for kind in ("", "-plan", "-rollback")
]


@dataclass
class Repository:
    """A repository with the workflow files, and what a run of them called."""

    folder: Path
    origin: Path

    def run(self, name: str, event_name: str, event: dict[str, Any], **options: Any) -> WorkflowRun:
        for folder in ("artifacts", "calls"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
            (self.folder / folder).mkdir()
        (self.folder / "calls" / "codes").write_text(json.dumps(options.pop("codes", {})))
        for stage, document in options.pop("documents", {}).items():
            (self.folder / "calls" / f"{stage}.json").write_text(document)
        return run_workflow(
            name,
            event_name,
            {"ref": "refs/heads/main", **event},
            self.folder,
            credentials={each: {"AWS_ACCESS_KEY_ID": each} for each in ENVIRONMENTS},
            **{
                "ORIGIN": str(self.origin),
                "ARTIFACTS": str(self.folder / "artifacts"),
                "CALLS": str(self.folder / "calls"),
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_REF": "refs/heads/main",
                "GITHUB_TOKEN": TOKEN,
                "SHA_REF": self.git("rev-parse", "main"),
                **options,
            },
        )

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Calls of the command."""
        file = self.folder / "calls" / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.origin, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("act")
    found = Repository(folder, folder / "origin")
    for name in ("__init__.py", "errors.py", "github.py", "release/__init__.py", "release/drift_issue.py"):
        (found.origin / "loraserve" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "loraserve" / name, found.origin / "loraserve" / name)
    (found.origin / "Makefile").write_text(MAKEFILE)
    (found.origin / "command").write_text(COMMAND)
    found.git("init", "--quiet", "--initial-branch=main")
    found.git("add", "--all")
    found.git("commit", "--quiet", "--message", "first")
    found.git("commit", "--quiet", "--message", "second", "--allow-empty")
    return found


def test_one_release_goes_through_the_stages_in_their_order(repository: Repository) -> None:
    run = repository.run("release.yml", "push", {})
    assert run.succeeded, run.log
    commit = repository.git("rev-parse", "main")
    release = ["--release", "out/release"]
    expected = []
    for stage in ("dev", "staging", "prod"):
        expected += [
            ("plan", f"{stage}-plan", [stage, *release, "--check", "--output", "out/plan"]),
            ("deploy", stage, [stage, *release, "--output", "out/record"]),
        ]
    assert [(call["job"], call["key"], call["arguments"]) for call in repository.calls] == expected
    # The bytes that were built once; the plan has no token.
    assert {call["archive"].strip() for call in repository.calls} == {commit}
    assert [call["token"] for call in repository.calls] == [False, True] * 3
    assert run.log.count("Summary - # the plan") == 3
    artifacts = {file.name for file in (repository.folder / "artifacts").iterdir()}
    assert artifacts == {"release.zip", "record-dev-1.zip", "record-staging-1.zip", "record-prod-1.zip"}


@pytest.mark.parametrize(("failing", "calls"), [("deploy dev", 2), ("plan prod", 5)])
def test_a_failure_stops_what_comes_after_it(repository: Repository, failing: str, calls: int) -> None:
    run = repository.run("release.yml", "push", {}, codes={failing: 1})
    assert not run.succeeded
    assert len(repository.calls) == calls
    # The page of the approval, and the record of what failed.
    assert run.log.count("Summary - # the plan") == (calls + 1) // 2


def test_acceptance_and_the_environments_limits_reach_the_command(repository: Repository) -> None:
    mark = repository.folder / "mark"
    run = repository.run(
        "release.yml",
        "workflow_dispatch",
        {"inputs": {"stage": "staging", "accept": f"loss $(touch {mark}) `touch {mark}`"}},
        variables={"SOAK": "0", "BAKE": "5"},
    )
    assert run.succeeded, run.log
    words = {(call["job"], call["arguments"][0]): call["arguments"][5:] for call in repository.calls}
    accepted = [f"--accept={word}" for word in ("loss", "$(touch", f"{mark})", "`touch", f"{mark}`")]
    with_them = {key for key, after in words.items() if after[-5:] == accepted}
    assert with_them == {("plan", "staging"), ("deploy", "staging")}
    assert not mark.exists()
    assert words["deploy", "prod"] == ["--soak", "0", "--bake", "5"]
    assert words["plan", "prod"] == ["out/plan", "--soak", "0"]


def test_prod_by_pull_request_is_the_release_that_the_file_names(repository: Repository) -> None:
    variables = {"PROD_BY_PULL_REQUEST": "true"}
    run = repository.run("release.yml", "push", {}, variables=variables)
    assert run.succeeded, run.log
    assert [call["arguments"][0] for call in repository.calls] == ["dev", "dev", "staging", "staging"]

    commit = repository.git("rev-parse", "main^")
    short = repository.git("rev-parse", "--short", commit)
    _name_release(repository, f"2026-11-27-{short}\n")
    run = repository.run("promote-by-pull-request.yml", "push", {}, variables=variables)
    assert run.succeeded, run.log
    assert [(call["job"], call["key"]) for call in repository.calls] == [
        ("plan", "prod-plan"),
        ("deploy", "prod"),
    ]
    assert {call["archive"].strip() for call in repository.calls} == {commit}

    # Without the variable, the file has no effect.
    assert repository.run("promote-by-pull-request.yml", "push", {}).succeeded
    assert repository.calls == []
    repository.git("reset", "--quiet", "--hard", "HEAD^")


@pytest.mark.parametrize("content", ["2025-01-01-{short}", "main", "$(touch {mark})"])
def test_a_file_that_names_no_release_promotes_nothing(repository: Repository, content: str) -> None:
    mark = repository.folder / "mark"
    short = repository.git("rev-parse", "--short", "main")
    _name_release(repository, content.format(mark=mark, short=short))
    run = repository.run(
        "promote-by-pull-request.yml", "push", {}, variables={"PROD_BY_PULL_REQUEST": "true"}
    )
    repository.git("reset", "--quiet", "--hard", "HEAD^")
    assert not run.succeeded
    assert repository.calls == []
    assert not mark.exists()


def _name_release(repository: Repository, content: str) -> None:
    file = repository.origin / "releases" / "prod.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    repository.git("add", "releases")
    repository.git("commit", "--quiet", "--message", "prod")


def test_a_rollback_passes_on_the_text_of_its_inputs_and_runs_none_of_it(repository: Repository) -> None:
    mark = repository.folder / "mark"
    hostile = (
        f'--help\'; touch {mark}; `touch {mark}` $(touch {mark}) $(shell touch {mark})\n"é" ${{{{ 1 }}}}'
    )
    inputs = {"stage": "prod", "release": f"2026-01-01-abc; touch {mark}", "reason": hostile}
    run = repository.run("rollback.yml", "workflow_dispatch", {"inputs": inputs})
    assert run.succeeded, run.log
    [call] = repository.calls
    assert (call["job"], call["key"], call["token"]) == ("rollback", "prod-rollback", True)
    assert call["arguments"] == [
        f"--to=2026-01-01-abc; touch {mark}",
        f"--reason={hostile}",
        *("--output", "out/record", "--", "prod"),
    ]
    assert not mark.exists()


def finding(state: str, found: str = "the endpoint serves another config") -> str:
    line = {"group": "stacks", "check": "endpoint config", "state": state, "found": found, "remedy": "go on"}
    return json.dumps({"stage": "prod", "findings": [line], "summary": {}})


def test_drift_keeps_one_issue(repository: Repository) -> None:
    with github_double() as github:

        def daily(codes: dict[str, int], **documents: str) -> WorkflowRun:
            return repository.run(
                "drift.yml", "schedule", {}, codes=codes, documents=documents, GITHUB_API_URL=github.url
            )

        well = {stage: finding("ok") for stage in ("dev", "staging", "prod")}
        # Dev's session fails before anything is written; prod has a finding.
        hostile = "@octocat ``` closes #1"
        run = daily({"verify prod": 1}, **{**well, "prod": finding("problem", hostile), "dev": "{"})
        assert not run.succeeded
        assert {(call["key"], *call["arguments"]) for call in repository.calls} == {
            (f"{stage}-plan", stage, "--no-invoke", "--drift", "--json") for stage in well
        }
        [issue] = github.issues
        assert issue["body"].startswith(MARKER)
        assert "### dev\n\n```\n✗ no result of the verification" in issue["body"]
        assert f"````\n✗ endpoint config: {hostile}\n  → go on\n````" in issue["body"]
        assert "staging" not in issue["body"]

        assert not daily({"verify prod": 1}, **{**well, "prod": finding("problem", "another")}).succeeded
        assert len(github.issues) == 1
        assert "✗ endpoint config: another" in github.issues[0]["body"]

        run = daily({}, **well)
        assert run.succeeded, run.log
        assert github.issues[0]["state"] == "closed"
        assert daily({}, **well).succeeded
        assert len(github.issues) == 1
