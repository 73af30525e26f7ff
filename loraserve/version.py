"""Version of this program: the project's, and the commit of the working tree."""

from __future__ import annotations

import tomllib

from loraserve.release.source import head, uncommitted
from loraserve.review.revisions import RevisionError
from stacks.project import ROOT

#: Digits of the commit, as in the id of a release.
_DIGITS = 7


def version() -> str:
    """Return e.g. `0.1.0 (commit 1a2b3c4, changed)`; without git, the version alone."""
    project: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        commit = head().hash[:_DIGITS]
        changed = ", changed" if any(uncommitted()) else ""
    except (RevisionError, OSError):
        return project
    return f"{project} (commit {commit}{changed})"
