"""Workflow files of GitHub Actions: house rules. `make check` also runs zizmor, actionlint and the schema."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.project import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: An action by its full commit, with the version in a comment.
PINNED = re.compile(r"uses: ([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")
#: Commits of the releases' tags, looked up in the actions' repositories: docs/review-ci.md.
RELEASES = {
    ("actions/checkout", "v7.0.1"): "3d3c42e5aac5ba805825da76410c181273ba90b1",
    ("actions/upload-artifact", "v7.0.0"): "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",
}


def load(file: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    found: dict[Any, Any] = yaml.safe_load(file.read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(file)["jobs"]
    return found


def test_there_are_files_to_check() -> None:
    assert {file.name for file in FILES} >= {"review.yml", "review-comment.yml"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_action_is_pinned_to_the_commit_of_a_release(file: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses:" in line]
    assert used
    for line in used:
        found = PINNED.fullmatch(line)
        assert found is not None, line
        assert RELEASES[found[1], found[3]] == found[2]
    page = (ROOT / "docs" / "review-ci.md").read_text()
    for (action, version), commit in RELEASES.items():
        assert f"| `{action}` | {version} | `{commit}` |" in page


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_script_has_no_expression(file: Path) -> None:
    """An expression is put into a script as text, so a title or a branch could be a command: use `env:`."""
    scripts = [step["run"] for job in jobs(file).values() for step in job["steps"] if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_job_has_a_limit_a_named_image_and_no_secret(file: Path) -> None:
    assert "secrets" not in file.read_text()
    assert "permissions" in load(file)
    for job in jobs(file).values():
        assert job["timeout-minutes"] <= 20
        assert re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"])
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_review_has_no_right_but_to_read_and_always_runs() -> None:
    file = ROOT / ".github" / "workflows" / "review.yml"
    workflow = load(file)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow["on"]) == {"pull_request", "merge_group"}
    # No filter of paths or branches: a required check that does not run stays pending for ever.
    assert all(set(event) == {"types"} for event in workflow["on"].values())
    [(name, job)] = jobs(file).items()
    assert name == job["name"] == "review"
    # A job that is skipped counts as passed.
    assert not {"if", "permissions", "continue-on-error"} & set(job)
    assert not any("continue-on-error" in step for step in job["steps"])


def test_the_comment_takes_nothing_from_the_pull_request() -> None:
    file = ROOT / ".github" / "workflows" / "review-comment.yml"
    workflow = load(file)
    assert workflow["permissions"] == {}
    assert workflow["on"] == {"workflow_run": {"workflows": ["review"], "types": ["completed"]}}
    [job] = jobs(file).values()
    assert job["permissions"] == {"contents": "read", "actions": "read", "pull-requests": "write"}
    checkout, run = job["steps"]
    assert checkout["with"] == {"persist-credentials": False}
    assert run["env"] == {"GITHUB_TOKEN": "${{ github.token }}"}
