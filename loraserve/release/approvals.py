"""The run of a pipeline that deploys, and who approved it, for the record of the deployment.

GitHub: https://docs.github.com/en/rest/actions/workflow-runs (review history of a run),
https://docs.github.com/en/rest/commits/commits (pull requests of a commit) and
https://docs.github.com/en/rest/pulls/reviews. GitLab: https://docs.gitlab.com/ci/variables/predefined_variables.
CodeBuild: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from loraserve.github import GitHub, GitHubError


@dataclass(frozen=True)
class PipelineRun:
    """The run that deploys."""

    url: str
    """URL of the pipeline's run; user and host of a run by hand."""
    approved_by: str
    """Logins, as the pipeline reports them; empty if it knows no approval."""

    @property
    def address(self) -> str:
        """The URL; empty for a run by hand."""
        return self.url if "://" in self.url else ""


def pipeline_run(environment: Mapping[str, str], environment_name: str) -> PipelineRun:
    """Return the run that this process belongs to, from its environment variables.

    `environment_name` is the environment of GitHub whose reviewers approve, e.g. `prod` or `prod-rollback`.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        page = f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_REPOSITORY']}"
        url = f"{page}/actions/runs/{environment['GITHUB_RUN_ID']}"
        return PipelineRun(url, _approved_in_github(environment, environment_name))
    if environment.get("GITLAB_CI") == "true":
        # A manual job of a protected environment: GitLab starts it for those who may deploy there.
        manual = environment.get("CI_JOB_MANUAL") == "true"
        return PipelineRun(environment["CI_JOB_URL"], environment["GITLAB_USER_LOGIN"] if manual else "")
    if "CODEBUILD_BUILD_URL" in environment:
        return PipelineRun(environment["CODEBUILD_BUILD_URL"], "")
    return PipelineRun(f"{getpass.getuser()}@{socket.gethostname()}", "")


def _approved_in_github(environment: Mapping[str, str], environment_name: str) -> str:
    """Return who approved the run's environment, or else the pull request of the run's commit.

    The record is no reason to stop a deployment: an answer that is missing is reported in the record.
    """
    if not environment.get("GITHUB_TOKEN"):
        return "not known: the job has no GITHUB_TOKEN"
    github = GitHub.of_job(environment)
    try:
        found = environment_reviewers(github, environment["GITHUB_RUN_ID"], environment_name)
        return ", ".join(found) or pull_request_reviewers(github, environment["GITHUB_SHA"])
    except GitHubError as error:
        return f"not known: {error}"


def environment_reviewers(github: GitHub, run: str, environment_name: str) -> list[str]:
    """Return the logins of those who approved an environment of a run; raises `GitHubError`."""
    approved = [
        review["user"]["login"]
        for review in github.pages(f"actions/runs/{run}/approvals")
        if review["state"] == "approved"
        and any(each["name"] == environment_name for each in review["environments"])
    ]
    return list(dict.fromkeys(approved))


def pull_request_reviewers(github: GitHub, commit: str) -> str:
    """Return who approved the pull request that a commit was merged by, e.g. `#12: alice, bob`.

    Empty if no pull request was merged as this commit, or no review approves it. Raises `GitHubError`.
    """
    for pull in github.pages(f"commits/{commit}/pulls"):
        if pull["merged_at"] is None or pull["merge_commit_sha"] != commit:
            continue
        latest: dict[str, str] = {}
        for review in github.pages(f"pulls/{pull['number']}/reviews"):  # in chronological order
            if review["user"] is not None and review["state"] != "COMMENTED":
                latest[review["user"]["login"]] = review["state"]
        approved = sorted(login for login, state in latest.items() if state == "APPROVED")
        if approved:
            return f"#{pull['number']}: {', '.join(approved)}"
    return ""
