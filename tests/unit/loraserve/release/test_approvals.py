"""The run of a pipeline and who approved it, with GitHub's documented answers."""

from collections.abc import Iterator
from typing import Any

import pytest

from loraserve.release.approvals import pipeline_run
from tests.harness.github import REPOSITORY, TOKEN, Answered, GitHubDouble, github_double

COMMIT = "a" * 40


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        double.page = 1
        yield double


def job(github: GitHubDouble, **others: str) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": github.url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "42",
        "GITHUB_SHA": COMMIT,
        "GITHUB_TOKEN": TOKEN,
        **others,
    }


def decision(state: str, login: str, *environments: str) -> dict[str, Any]:
    names = [{"name": name, "id": 1} for name in environments]
    return {"state": state, "comment": "", "environments": names, "user": {"login": login}}


def test_the_reviewer_of_the_environment_is_reported(github: GitHubDouble) -> None:
    github.approvals[42] = [
        decision("rejected", "alice", "prod"),
        decision("approved", "bob", "prod", "staging"),
        decision("approved", "carol", "prod-rollback"),
    ]
    run = pipeline_run(job(github), "prod")
    assert run.url == f"https://github.com/{REPOSITORY}/actions/runs/42"
    assert run.approved_by == "bob"
    assert pipeline_run(job(github), "prod-rollback").approved_by == "carol"
    assert pipeline_run(job(github), "dev").approved_by == ""


def test_without_reviewers_of_the_environment_the_pull_requests_are_reported(github: GitHubDouble) -> None:
    for number, merged, commit in (
        (7, None, COMMIT),
        (8, "2026-11-27T10:00:00Z", "b" * 40),
        (9, "2026-11-27T10:00:00Z", COMMIT),
    ):
        github.open_pull(number, COMMIT)
        # The list of a commit's pull requests has those that contain it, too.
        github.pull(number).update(merged_at=merged, merge_commit_sha=commit, also=COMMIT)
        github.reviews[number] = [{"state": "APPROVED", "user": {"login": f"of-{number}"}}]
    github.reviews[9] += [
        {"state": "APPROVED", "user": {"login": "alice"}},
        {"state": "COMMENTED", "user": {"login": "alice"}},
        {"state": "APPROVED", "user": {"login": "bob"}},
        {"state": "CHANGES_REQUESTED", "user": {"login": "bob"}},
        {"state": "APPROVED", "user": None},
    ]
    assert pipeline_run(job(github), "prod").approved_by == "#9: alice, of-9"


def test_an_answer_that_is_missing_is_in_the_record_and_stops_nothing(github: GitHubDouble) -> None:
    github.refused = {
        "GET actions/runs": Answered(403, {"message": "Resource not accessible by integration"})
    }
    assert "403 Resource not accessible by integration" in pipeline_run(job(github), "prod").approved_by
    without = {key: value for key, value in job(github).items() if key != "GITHUB_TOKEN"}
    assert pipeline_run(without, "prod").approved_by == "not known: the job has no GITHUB_TOKEN"


def test_the_manual_job_of_gitlab_names_its_user() -> None:
    variables = {
        "GITLAB_CI": "true",
        "CI_JOB_URL": "https://gitlab.com/o/r/-/jobs/1",
        "GITLAB_USER_LOGIN": "alice",
    }
    assert pipeline_run(variables, "prod").approved_by == ""
    run = pipeline_run({**variables, "CI_JOB_MANUAL": "true"}, "prod")
    assert (run.url, run.approved_by) == ("https://gitlab.com/o/r/-/jobs/1", "alice")


def test_other_runs_are_a_url_or_a_user_and_host() -> None:
    assert pipeline_run({"CODEBUILD_BUILD_URL": "https://console"}, "prod").url == "https://console"
    assert "@" in pipeline_run({}, "prod").url
