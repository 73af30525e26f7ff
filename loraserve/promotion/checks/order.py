"""The order of releases: forwards only, going back is a rollback and is called so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from loraserve.finding import Finding, ok, problem
from loraserve.release.record import DeploymentRecord
from loraserve.release.release import Release

_CHECK = "order"


def check_order(release: Release, current: DeploymentRecord | None, repository: Path) -> Iterator[Finding]:
    """Compare the release's commit with that of the current record, in the history of this clone."""
    if current is None:
        yield ok(_CHECK, "the first deployment that is recorded")
        return
    deployed, wanted = current.commit, release.commit
    what = f"{current.release or current.kind.value} of {deployed[:7]}"
    if deployed == wanted:
        yield ok(_CHECK, f"{what} is deployed, of the same commit")
        return
    missing = [commit for commit in (deployed, wanted) if not _has(commit, repository)]
    if missing:
        yield problem(
            _CHECK,
            f"not known: {what} is deployed, and this clone has no commit {' and no '.join(missing)}",
            "fetch the whole history (`git fetch --unshallow`, `git fetch --all`), or push the commit from "
            "where it was deployed",
        )
    elif _is_ancestor(deployed, wanted, repository):
        count = _git(repository, "rev-list", "--count", f"{deployed}..{wanted}").stdout.strip()
        yield ok(_CHECK, f"{what} is deployed; commits since then: {count}")
    elif _is_ancestor(wanted, deployed, repository):
        yield problem(
            _CHECK,
            f"{what} is deployed, and release {release.release} is older: this would be a rollback",
            f"go back by that name: `make rollback STAGE={current.stage} ARGS='--to {release.release}' "
            "REASON='…'`",
        )
    else:
        yield problem(
            _CHECK,
            f"{what} is deployed, and release {release.release} does not contain that commit",
            f"merge {deployed[:7]}, and promote a release of the merge",
        )


def commits_since(release: Release, current: DeploymentRecord | None, repository: Path) -> list[str]:
    """List the commits that a promotion brings, newest first; empty if the history is not known."""
    if current is None or not all(_has(each, repository) for each in (current.commit, release.commit)):
        return []
    found = _git(repository, "log", "--format=%h %s", f"{current.commit}..{release.commit}")
    return found.stdout.splitlines()


def _has(commit: str, repository: Path) -> bool:
    return _git(repository, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _is_ancestor(old: str, new: str, repository: Path) -> bool:
    return _git(repository, "merge-base", "--is-ancestor", old, new).returncode == 0


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],  # noqa: S607 — the user's git
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
