"""Both workflow files of the review, run by act: the review of a pull request and the comment it gets.

The command itself has other tests: `make review` writes a given document here and ends as the command would. act
runs the real files, and the comment the real program from the default branch.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loraserve.review.document import ReviewDocument, write
from stacks.project import ROOT
from tests.harness.act import WorkflowRun, run_workflow
from tests.harness.github import HOME, REPOSITORY, TOKEN, GitHubDouble, github_double
from tests.harness.reviews import NOTHING, loss

A, B, C = "a" * 40, "b" * 40, "c" * 40
PULL = 7
#: make's recipe: shows its arguments and the base that the command finds, writes the report, ends with $CODE.
MAKEFILE = """
review:
\t@echo 'ARGS=$(ARGS)' \
    $$(python3 -c 'from loraserve.review.revisions import base_revision as b; print(b(None).name, b(None).commit)')
\t@if [ -f $$DOCUMENT ]; then mkdir -p out/review && cp $$DOCUMENT out/review/review.json && \
    echo '# the report' > out/review/review.md; fi
\t@exit $$CODE
"""


@dataclass
class Repository:
    """A repository with a default branch, and a pull request's merge commit."""

    folder: Path
    origin: Path
    base: str
    """Commit of the default branch."""

    def review(self, document: ReviewDocument | None, code: int, event: dict[str, Any]) -> WorkflowRun:
        """Run review.yml; the artifact is left in `artifacts`."""
        file = self.folder / "document.json"
        file.unlink(missing_ok=True)
        if document is not None:
            file.write_text(write(document))
        shutil.rmtree(self.artifacts.parent, ignore_errors=True)
        self.artifacts.parent.mkdir()
        name = "merge_group" if "merge_group" in event else "pull_request"
        return self._run("review.yml", name, event, DOCUMENT=str(file), CODE=str(code))

    @property
    def artifacts(self) -> Path:
        """The uploaded artifact."""
        return self.folder / "artifacts" / "review.zip"

    def comment(self, github: GitHubDouble, event: dict[str, Any]) -> WorkflowRun:
        """Run review-comment.yml."""
        return self._run(
            "review-comment.yml",
            "workflow_run",
            event,
            GITHUB_API_URL=github.url,
            GITHUB_TOKEN=TOKEN,
        )

    def _run(self, name: str, event_name: str, event: dict[str, Any], **env: str) -> WorkflowRun:
        ref = "refs/pull/7/merge" if event_name == "pull_request" else "refs/heads/main"
        env |= {
            "ORIGIN": str(self.origin),
            "ARTIFACTS": str(self.artifacts.parent),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_REF": ref,
            # act's name for GITHUB_SHA.
            "SHA_REF": (self.origin / ".git" / ref).read_text().strip(),
        }
        return run_workflow(name, event_name, event, self.folder, **env)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("act")
    origin = folder / "origin"
    (origin / "loraserve").mkdir(parents=True)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=origin, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    for name in ("__init__.py", "errors.py", "github.py"):
        shutil.copy(ROOT / "loraserve" / name, origin / "loraserve" / name)
    shutil.copytree(ROOT / "loraserve" / "review", origin / "loraserve" / "review")
    (origin / "stacks").mkdir()
    for name in ("__init__.py", "project.py"):
        shutil.copy(ROOT / "stacks" / name, origin / "stacks" / name)
    (origin / "Makefile").write_text(MAKEFILE)
    git("add", "--all")
    git("commit", "--quiet", "--message", "before")
    git("commit", "--quiet", "--message", "base", "--allow-empty")
    base = git("rev-parse", "HEAD")
    # The pull request replaces the program that comments: it must not be run with a token that may write.
    git("checkout", "--quiet", "-b", "change")
    (origin / "loraserve" / "review" / "comment.py").write_text(
        "raise SystemExit('code of the pull request')"
    )
    git("commit", "--quiet", "--all", "--message", "change")
    git("checkout", "--quiet", "--detach", base)
    git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    git("update-ref", "refs/pull/7/merge", "HEAD")
    git("checkout", "--quiet", "main")
    return Repository(folder, origin, base)


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as double:
        double.open_pull(PULL, A)
        yield double


def event(action: str, *labels: str) -> dict[str, Any]:
    """A payload of `pull_request`; the last label is the one that was set."""
    found = {
        "action": action,
        "number": PULL,
        "pull_request": {
            "number": PULL,
            "labels": [{"name": name} for name in labels],
            "base": {"ref": "main"},
            "head": {"ref": "change"},
        },
        "repository": HOME,
    }
    return found | {"label": {"name": labels[-1]}} if action == "labeled" else found


def test_acceptance_lasts_until_the_next_push(repository: Repository, github: GitHubDouble) -> None:
    run = repository.review(loss(accepted=True), 0, event("labeled", "bug", "accept-loss"))
    assert run.succeeded, run.log
    assert f"ARGS=--output out/review --accept loss main {repository.base}" in run.log
    assert "Summary - # the report" in run.log
    github.review(PULL, "2026-11-27T10:00:00Z", None)
    github.label(PULL, "accept-loss", "2026-11-27T10:01:00Z")
    reviewed = github.review(PULL, "2026-11-27T10:01:01Z", repository.artifacts.read_bytes())
    run = repository.comment(github, reviewed)
    assert run.succeeded, run.log
    [comment] = github.comments[PULL]
    assert "BLOCK (accepted)" in comment["body"]
    assert github.labels(PULL) == ["accept-loss"]

    # GitHub's payload still has the label, and the findings fail the check; the artifact is uploaded.
    github.push(PULL, B)
    run = repository.review(loss(), 3, event("synchronize", "accept-loss"))
    assert not run.succeeded
    assert f"ARGS=--output out/review  main {repository.base}" in run.log
    assert "Summary - # the report" in run.log
    pushed = github.review(
        PULL, "2026-11-27T11:00:00Z", repository.artifacts.read_bytes(), conclusion="failure"
    )
    run = repository.comment(github, pushed)
    assert run.succeeded, run.log
    [comment] = github.comments[PULL]
    assert "accepted: loss" not in comment["body"]
    assert github.labels(PULL) == []

    github.push(PULL, C)
    assert repository.review(NOTHING, 0, event("synchronize")).succeeded
    reverted = github.review(PULL, "2026-11-27T12:00:00Z", repository.artifacts.read_bytes())
    assert repository.comment(github, reverted).succeeded
    [comment] = github.comments[PULL]
    assert "### no stage changes" in comment["body"]


def test_a_review_that_cannot_compare_leaves_a_comment_that_says_so(
    repository: Repository, github: GitHubDouble
) -> None:
    run = repository.review(None, 1, event("opened"))
    assert not run.succeeded
    opened = github.review(PULL, "2026-11-27T10:00:00Z", repository.artifacts.read_bytes())
    run = repository.comment(github, opened)
    assert run.succeeded, run.log
    [comment] = github.comments[PULL]
    assert "### No review of aaaaaaa" in comment["body"]


def test_an_artifact_of_another_pull_request_fails_the_comment(
    repository: Repository, github: GitHubDouble
) -> None:
    github.open_pull(9, B, branch="other")
    assert repository.review(NOTHING, 0, event("opened")).succeeded
    lying = github.review(9, "2026-11-27T10:00:00Z", repository.artifacts.read_bytes())
    run = repository.comment(github, lying)
    assert not run.succeeded
    assert "claims pull request 7, and the run is of 9" in run.log
    assert github.comments[PULL] == []


def test_a_merge_queue_is_reviewed_against_its_base_without_a_comment(
    repository: Repository, github: GitHubDouble
) -> None:
    # Two commits back: the history is complete.
    base = subprocess.run(
        ["git", "rev-parse", "main^"], cwd=repository.origin, check=True, capture_output=True, text=True
    ).stdout.strip()
    queue = {"action": "checks_requested", "merge_group": {"base_sha": base}, "repository": HOME}
    run = repository.review(loss(), 0, queue)
    assert run.succeeded, run.log
    assert f"ARGS=--output out/review --fail-on never base of the merge queue {base}" in run.log

    reviewed = github.review(PULL, "2026-11-27T10:00:00Z", repository.artifacts.read_bytes())
    reviewed["workflow_run"]["event"] = "merge_group"
    assert repository.comment(github, reviewed).succeeded
    assert github.requests == []
