"""The two revisions that a review compares, by git.

The base is never just a branch's last commit: what the branch got since the change left it would look as if
the change reverted it. So it is the commit that both have in common, the merge base. In a GitHub workflow the
commit under test is the pull request merged into its target, and the base is the target.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loraserve.errors import UserError
from stacks.project import ROOT

#: Targets of a merge in a working copy, the first that exists.
TARGETS = ("origin/main", "main")


class RevisionError(UserError):
    """A base that git does not find."""


@dataclass(frozen=True)
class GitRevision:
    """A commit, and the name that it is compared under."""

    name: str
    """E.g. `merge base with origin/main`."""
    commit: str


def base_revision(given: str | None) -> GitRevision:
    """Return the base; raises `RevisionError`.

    It is the merge base of HEAD and the `given` revision: an ancestor of HEAD is its own. Without one, in a
    GitHub workflow the target of the pull request or of the merge queue, otherwise the merge base with
    `origin/main`, or with `main`.
    """
    git("rev-parse", "--git-dir")  # without git or a repository, no revision exists
    if given is not None:
        if _commit(given) is None:
            raise RevisionError(
                f"git has no revision {given!r}; name a revision with BASE=…, after a git fetch if needed"
            )
        return _merge_base(given)
    in_workflow = _target_in_workflow()
    if in_workflow is not None:
        return in_workflow
    for target in TARGETS:
        if _commit(target) is not None:
            return _merge_base(target)
    raise RevisionError(f"git has neither {' nor '.join(TARGETS)}; name a revision with BASE=…")


def head_revision() -> GitRevision:
    """Return what the working tree has: HEAD, in a workflow of a pull request the commit merged into it."""
    merged = _merged_pull_request()
    if merged is not None:
        return GitRevision(f"merged into {_target_name()}", merged[1])
    changed = git("status", "--porcelain").strip()
    return GitRevision(
        "working tree with uncommitted changes" if changed else "working tree", _git_line("HEAD")
    )


def commits_between(old: str, new: str) -> list[str] | None:
    """List the commits of `new` that `old` does not have, a line each; None if git lacks one of the two."""
    try:
        known = [_git_line(revision) for revision in (old, new)]
        return git("log", "--format=%h %s", "..".join(known)).splitlines()
    except RevisionError:
        return None


def export(commit: str, folder: Path, index: Path) -> None:
    """Write the commit's files into the new `folder`; `index` is a file for git.

    Not `git worktree`, which runs the repository's hooks and leaves an entry in `.git` if it is killed.
    """
    environment = os.environ | {"GIT_INDEX_FILE": str(index)}
    git("read-tree", "--no-sparse-checkout", commit, environment=environment)
    folder.mkdir()
    git("checkout-index", "--all", f"--prefix={folder}/", environment=environment)


def git(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run `git ARGUMENTS` in the repository and return its output; raises `RevisionError`."""
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 — the user's git
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise RevisionError("git is not installed here: install git") from error
    if done.returncode != 0:
        raise RevisionError(
            f"git {arguments[0]} failed: {done.stderr.strip()}; run the command in a clone of the repository"
        )
    return done.stdout


def _target_in_workflow() -> GitRevision | None:
    """Return the base by GitHub's variables and event; None outside of its workflows, or if they lack it.

    https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return None
    if os.environ.get("GITHUB_EVENT_NAME") == "merge_group":
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())
        found: str = event["merge_group"]["base_sha"]
        if _commit(found) is None:
            raise RevisionError(
                f"this clone lacks {found}, the base of the merge queue; set actions/checkout's fetch-depth "
                "to 0"
            )
        return GitRevision("base of the merge queue", found)
    merged = _merged_pull_request()
    if merged is not None:
        return GitRevision(_target_name(), merged[0])
    target = f"origin/{_target_name()}"
    return None if _commit(target) is None else _merge_base(target)


def _merged_pull_request() -> tuple[str, str] | None:
    """Return the target's commit and the pull request's in a workflow that checked out their merge.

    Only where HEAD is GITHUB_SHA, the merge commit that GitHub made: the last commit of a branch may be a
    merge as well, and its first parent is not the base.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true" or os.environ.get("GITHUB_EVENT_NAME") != "pull_request":
        return None
    commit, *parents = git("rev-list", "--parents", "--max-count=1", "HEAD").split()
    if commit != os.environ.get("GITHUB_SHA") or len(parents) != 2:
        return None
    return parents[0], parents[1]


def _target_name() -> str:
    return os.environ.get("GITHUB_BASE_REF") or "main"


def _merge_base(target: str) -> GitRevision:
    try:
        found = git("merge-base", "HEAD", _commit(target) or target).strip()
    except RevisionError as error:
        raise RevisionError(
            f"HEAD and {target} have no commit in common in this clone; fetch its whole history if it is a "
            "shallow one, or name another revision with BASE=…"
        ) from error
    return GitRevision(target if found == _commit(target) else f"merge base with {target}", found)


def _commit(revision: str) -> str | None:
    """Return the commit of a revision; None if there is no such revision."""
    try:
        return _git_line(revision)
    except RevisionError:
        return None


def _git_line(revision: str) -> str:
    return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
