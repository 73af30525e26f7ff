"""The comment of a review in its pull request, and the removal of outdated acceptance.

.github/workflows/review-comment.yml runs this on the default branch after each run of the review, with a
token that may write. So the run's artifact is data: this code renders the comment from its document, and the
pull request is found by GitHub's own statements about the run. The artifact's number only has to agree.

Standard library only: `python3 -m loraserve.review.comment` needs no installation.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from loraserve.errors import UserError
from loraserve.github import GitHub, GitHubError, TooLarge
from loraserve.review.artifact import MAX_ARCHIVE, NAME, ArtifactError, ReviewArtifact, contents
from loraserve.review.document import DocumentError, ReviewDocument
from loraserve.review.event_arguments import ACCEPT, accepted_category
from loraserve.review.report.markdown import markdown

#: The first line of the comment, by which it is found again.
MARKER = "<!-- lora-serving review -->"
#: The author of what a workflow's own token writes.
BOT = "github-actions[bot]"
_NOT_FOUND = 404
_NOT_COMPARED = (
    "The two sides could not be compared, or the stage rules refuse the change. "
    "[The run]({url}) has the reason."
)
#: A label that is set soon after a push starts a run whose payload still has the labels of before the push.
_COUNTED = (
    "**This check counted {names}, set before this commit.** Set or remove an `accept-` label to repeat it: "
    "the labels of before are removed now."
)
_UNUSABLE = (
    "The artifact of [the run]({url}) is not that of a review. The log of `review-comment` has the reason."
)

#: Answers of GitHub's API.
Answer = Mapping[str, Any]


def update(github: GitHub, run: Answer) -> list[str]:
    """Bring the pull requests of a run up to date; returns a line for each thing that was done.

    Raises `GitHubError`, or `ArtifactError` and `DocumentError` for an artifact that is not used: the comment
    then says so, because the review that it had is of an earlier commit.
    """
    pulls = pull_requests(github, run)
    if not pulls:
        return [f"no open pull request has its head at {run['head_sha']}: nothing to comment on"]
    numbers = [pull["number"] for pull in pulls]
    try:
        artifact = _artifact(github, run, numbers)
    except (ArtifactError, DocumentError, TooLarge):
        for pull in pulls:
            remove_outdated_labels(github, run, pull, None)
            write(github, pull["number"], f"{MARKER}\n{_without_review(run, _UNUSABLE)}")
        raise
    document = None if artifact is None else artifact.document
    removed = {pull["number"]: remove_outdated_labels(github, run, pull, document) for pull in pulls}
    done = [f"removed from #{number}: label {name!r}" for number in removed for name in removed[number]]
    if artifact is None and run["conclusion"] == "cancelled":
        return [*done, "the run was cancelled: the comment stays as it is"]
    targets = numbers if artifact is None else [artifact.pull_request]
    if document is None:
        text = _without_review(run, _NOT_COMPARED)
    else:
        text = markdown(document, summary=run["html_url"])
        counted = [
            name
            for name in removed[targets[0]]
            if accepted_category(name) in document.accepted  # None, of another label, is no category
        ]
        if counted:
            text = f"{_COUNTED.format(names=', '.join(f'`{name}`' for name in counted))}\n\n{text}"
    return [*done, *(write(github, number, f"{MARKER}\n{text}") for number in targets)]


def pull_requests(github: GitHub, run: Answer) -> list[Answer]:
    """Return the open pull requests whose head is the commit, branch and repository of the run.

    There can be several, of one branch into several bases. `pull_requests` of a fork's run is empty.
    """
    origin = run["head_repository"]
    if origin is None:  # the fork is deleted
        return []
    head = f"{origin['owner']['login']}:{run['head_branch']}"
    return [
        pull
        for pull in github.pages("pulls", state="open", head=head)
        if pull["head"]["sha"] == run["head_sha"]
        and pull["head"]["ref"] == run["head_branch"]
        and pull["head"]["repo"] is not None
        and pull["head"]["repo"]["id"] == origin["id"]
    ]


def remove_outdated_labels(
    github: GitHub, run: Answer, pull: Answer, document: ReviewDocument | None
) -> list[str]:
    """Remove the labels `accept-*` that do not count; returns their names.

    Acceptance is of the content that was seen. The run does not say whether a push started it, so GitHub's
    times are compared: a label's, and that of the first review of the commit. A label that was there when the
    run began and that its document did not count is removed as well, so that a label on the page is one that
    counts (`loraserve.review.event_arguments`). The document can only take labels away.
    """
    labels = [name for label in pull["labels"] if (name := label["name"]).startswith(ACCEPT)]
    if not labels:
        return []
    first = first_review(github, run)
    set_at: dict[str, str] = {}
    for event in github.pages(f"issues/{pull['number']}/timeline"):
        if event.get("event") == "labeled":
            set_at[event["label"]["name"]] = event["created_at"]
    outdated = [
        name
        for name in labels
        if set_at.get(name, "") <= first
        or (
            document is not None
            and set_at[name] <= run["run_started_at"]
            and accepted_category(name) not in document.accepted
        )
    ]
    for name in outdated:
        try:
            github.send("DELETE", f"issues/{pull['number']}/labels/{quote(name, safe='')}")
        except GitHubError as error:
            if error.status != _NOT_FOUND:  # removed in the meantime
                raise
    return outdated


def first_review(github: GitHub, run: Answer) -> str:
    """Return the time of the branch's first review of the commit, in ISO 8601 and UTC as all times here."""
    runs = github.pages(
        f"actions/workflows/{run['workflow_id']}/runs",
        key="workflow_runs",
        head_sha=run["head_sha"],
        event="pull_request",
    )
    # Another branch may have had the commit, and its review, earlier.
    times: list[str] = [
        each["created_at"]
        for each in runs
        if each["head_branch"] == run["head_branch"]
        and (each["head_repository"] or {}).get("id") == run["head_repository"]["id"]
    ]
    first: str = min([run["created_at"], *times])
    return first


def _artifact(github: GitHub, run: Answer, numbers: Sequence[int]) -> ReviewArtifact | None:
    """Return the run's artifact; it has to name one of the run's pull requests.

    A run that was started again may have several artifacts: the newest counts.
    """
    found = [
        artifact
        for artifact in github.pages(f"actions/runs/{run['id']}/artifacts", key="artifacts", name=NAME)
        if artifact["name"] == NAME and not artifact["expired"]
    ]
    if not found:
        return None
    newest = max(found, key=lambda each: int(each["id"]))
    if newest["size_in_bytes"] > MAX_ARCHIVE:
        raise ArtifactError(
            f"the artifact has {newest['size_in_bytes']:,} bytes, more than {MAX_ARCHIVE:,}; check what the "
            "pull request's review writes"
        )
    artifact = contents(github.download(f"actions/artifacts/{newest['id']}/zip", MAX_ARCHIVE))
    if artifact.pull_request not in numbers:
        raise ArtifactError(
            f"the artifact claims pull request {artifact.pull_request}, and the run is of "
            f"{', '.join(map(str, numbers))}; check what the pull request's review writes"
        )
    return artifact


def _without_review(run: Answer, reason: str) -> str:
    return f"### No review of {run['head_sha'][:7]}\n\n{reason.format(url=run['html_url'])}\n"


def write(github: GitHub, number: int, text: str) -> str:
    """Create the comment of a pull request, or edit it; returns what was done."""
    for comment in github.pages(f"issues/{number}/comments"):
        author = comment["user"] or {}  # None: the account is deleted
        if author.get("login") == BOT and author.get("type") == "Bot" and comment["body"].startswith(MARKER):
            github.send("PATCH", f"issues/comments/{comment['id']}", {"body": text})
            return f"edited in #{number}: comment {comment['id']}"
    created = github.send("POST", f"issues/{number}/comments", {"body": text})
    return f"created in #{number}: comment {created['id']}"


def main(environment: Mapping[str, str]) -> int:
    """Run in a workflow; returns the exit code."""
    event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_bytes())
    try:
        lines: Sequence[str] = update(GitHub.of_job(environment), event["workflow_run"])
    except UserError as error:
        print(f"✗ {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
