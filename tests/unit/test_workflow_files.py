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
    ("actions/download-artifact", "v8.0.1"): "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",
    ("aws-actions/configure-aws-credentials", "v6.2.3"): "e6de054238d6b7531b4efff3b6587d9aade6a06c",
}
#: The workflow that a job calls; its jobs have the limits and steps.
PROMOTE_STAGE = "./.github/workflows/promote-stage.yml"
#: Minutes of the jobs that wait for a rollout; the others have half an hour at most.
ROLLOUTS = {"promote-stage.yml deploy": 350, "rollback.yml rollback": 350}
STAGES = ["dev", "staging", "prod"]


def load(file: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    found: dict[Any, Any] = yaml.safe_load(file.read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(file)["jobs"]
    return found


def own_jobs(file: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs with steps, without those that call another workflow."""
    return {name: job for name, job in jobs(file).items() if "steps" in job}


def test_there_are_files_to_check() -> None:
    assert {file.name for file in FILES} >= {
        "review.yml",
        "review-comment.yml",
        "release.yml",
        "rollback.yml",
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_action_is_pinned_to_the_commit_of_a_release(file: Path) -> None:
    lines = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses:" in line]
    # A workflow of the same commit. zizmor knows another syntax for it, act does not.
    used = [line for line in lines if line != f"uses: {PROMOTE_STAGE} # zizmor: ignore[self-repository]"]
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
    scripts = [step["run"] for job in own_jobs(file).values() for step in job["steps"] if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_job_has_a_limit_a_named_image_and_no_secret(file: Path) -> None:
    assert "secrets" not in file.read_text()
    assert "permissions" in load(file)
    for name, job in own_jobs(file).items():
        assert job["timeout-minutes"] <= ROLLOUTS.get(f"{file.name} {name}", 30)
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


PROMOTION = [
    ROOT / ".github" / "workflows" / name
    for name in (
        "release.yml",
        "promote-stage.yml",
        "promote-by-pull-request.yml",
        "rollback.yml",
        "drift.yml",
    )
]
#: Rights of a job that has a session in AWS and writes nothing in GitHub.
PLAN = {"contents": "read", "id-token": "write"}
DEPLOY = {**PLAN, "actions": "read", "pull-requests": "read"}
RIGHTS = {
    "build": {"contents": "read"},
    "plan": PLAN,
    "verify": PLAN,
    "deploy": DEPLOY,
    "rollback": DEPLOY,
    "issue": {"contents": "read", "issues": "write"},
}


@pytest.mark.parametrize("file", PROMOTION, ids=lambda file: file.name)
def test_a_session_in_aws_is_that_of_an_environment(file: Path) -> None:
    """The subject of a job's token names its environment, and the role trusts that subject alone."""
    assert load(file)["permissions"] == {}
    for name, job in jobs(file).items():
        # A called workflow gets no right that its caller does not have.
        assert job["permissions"] == (DEPLOY if "uses" in job else RIGHTS[name])
        if "uses" in job:
            assert job["uses"] == PROMOTE_STAGE
            continue
        sessions = [step for step in job["steps"] if step.get("uses", "").startswith("aws-actions/")]
        assert ("id-token" in job["permissions"]) == ("environment" in job) == bool(sessions)
        for step in sessions:
            assert step["with"]["role-to-assume"] == "${{ vars.AWS_ROLE_ARN }}"
            # As long as the job.
            seconds = job.get("env", {}).get("SESSION_SECONDS") or step["with"].get(
                "role-duration-seconds", 3600
            )
            assert int(seconds) >= 60 * job["timeout-minutes"]
            # Packages are installed before there is a session that their code could use.
            before = job["steps"][: job["steps"].index(step)]
            assert any(each.get("run") == "make setup" for each in before)
        assert not any("continue-on-error" in each for each in [job, *job["steps"]])


def test_environments_and_groups_are_those_of_the_stage() -> None:
    called = jobs(PROMOTION[1])
    assert called["plan"]["environment"] == "${{ inputs.stage }}-plan"
    assert called["deploy"]["environment"] == "${{ inputs.stage }}"
    assert called["deploy"]["needs"] == "plan"
    group = {"group": "promote-${{ inputs.stage }}", "cancel-in-progress": False}
    assert called["deploy"]["concurrency"] == group
    # A plan does not wait for the approval of an older release.
    assert "concurrency" not in called["plan"]
    rollback = load(PROMOTION[3])
    assert rollback["jobs"]["rollback"]["environment"] == "${{ inputs.stage }}-rollback"
    # Another group: a promotion that waits would replace a rollback that waits.
    assert rollback["concurrency"] == {"group": "rollback-${{ inputs.stage }}", "cancel-in-progress": False}
    assert jobs(PROMOTION[4])["verify"]["environment"] == "${{ matrix.stage }}-plan"


def test_every_stage_of_the_promotion_is_in_every_workflow() -> None:
    release = load(PROMOTION[0])
    assert list(release["jobs"]) == ["build", *STAGES]
    for before, (name, job) in zip(["build", *STAGES], list(release["jobs"].items())[1:], strict=False):
        assert job["needs"] == before
        assert job["with"]["stage"] == name
        assert job["with"]["accept"] == f"${{{{ inputs.stage == '{name}' && inputs.accept || '' }}}}"
    inputs = release["on"]["workflow_dispatch"]["inputs"]
    assert inputs["stage"]["options"] == STAGES
    assert load(PROMOTION[3])["on"]["workflow_dispatch"]["inputs"]["stage"]["options"] == STAGES
    drift = jobs(PROMOTION[4])
    assert drift["verify"]["strategy"]["matrix"]["stage"] == STAGES
    assert drift["issue"]["steps"][-1]["run"].split()[-3:] == STAGES
