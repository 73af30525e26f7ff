"""The commit that a release is built from, by git."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from loraserve.review.revisions import RevisionError, git

#: Digits of the commit in a release's id; `git rev-parse --short` gives more in a larger repository.
_SHORT = 7
#: `[user@]host:path`, git's short form of an SSH address (https://git-scm.com/docs/git-clone#_git_urls).
_SHORT_SSH = re.compile(r"([^@/]+@)?(?P<host>[^:/@]+):(?P<path>.+)")


@dataclass(frozen=True)
class Commit:
    """A commit."""

    hash: str
    committed: datetime
    """In UTC."""

    @property
    def release(self) -> str:
        """Id of its release, e.g. `2026-11-27-1a2b3c4`."""
        return f"{self.committed:%Y-%m-%d}-{self.hash[:_SHORT]}"


def head() -> Commit:
    """Return the commit of the working tree; raises `RevisionError`."""
    found, seconds = git("show", "--no-patch", "--format=%H %ct", "HEAD").split()
    return Commit(found, datetime.fromtimestamp(int(seconds), UTC))


def uncommitted() -> Iterator[str]:
    """Yield the files in which the working tree differs from its commit.

    A new file or folder beside the folders of the repository is no part of the app, e.g. a log of the
    pipeline. One inside them may be a stage or a module that was not added.
    """
    for line in git("status", "--porcelain", "--untracked-files=normal").splitlines():
        is_new, path = line.startswith("??"), line[3:]
        if not is_new or "/" in path.rstrip("/"):
            yield path


def repository() -> str | None:
    """Return `owner/name` in a GitHub workflow, otherwise the address of `origin` without user and password.

    None for a repository without a remote, or with a folder as remote.
    """
    given = os.environ.get("GITHUB_REPOSITORY")
    if given:
        return given
    try:
        return without_user(git("remote", "get-url", "origin").strip())
    except RevisionError:
        return None


def without_user(address: str) -> str | None:
    """Return a repository's address without user, password and query; None for a folder."""
    if "://" in address:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if host else None
    short = _SHORT_SSH.fullmatch(address)
    return None if short is None else f"{short['host']}:{short['path']}"
