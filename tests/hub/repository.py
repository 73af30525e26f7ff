"""The repositories of the test Hub, and the faults that it injects: plain data."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".safetensors", ".bin", ".model")
LFS_BYTES = 10_000_000
_DATE = "2026-01-01T00:00:00.000Z"
_RANGE = re.compile(r"\s*bytes=(\d*)-(\d*)\s*")


def git_blob_id(content: bytes) -> str:
    """Return the git blob id of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def byte_range(header: str | None, size: int) -> range | None:
    """Parse a `Range` header; an empty range if it cannot be satisfied, None if it is to be ignored."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if not last:
        return range(int(first), size)
    return range(int(first), min(int(last) + 1, size)) if int(first) <= int(last) else None


@dataclass(frozen=True)
class HubFile:
    """A file of a commit: in memory, or on disk and never read as a whole."""

    path: str
    content: bytes | Path
    size: int
    blob_id: str
    """Git blob id of the content, or of its LFS pointer."""
    sha256: str | None = None
    """SHA-256 (hex) of an LFS file; None for a file that git itself stores."""
    pointer_size: int = 0

    @classmethod
    def of(cls, path: str, content: bytes | Path) -> HubFile:
        """Hash the content as the Hub does: large files and weights are LFS files."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if size < LFS_BYTES and not path.endswith(LFS_SUFFIXES):
            small = content.read_bytes() if isinstance(content, Path) else content
            return cls(path, content, size, git_blob_id(small))
        if isinstance(content, Path):
            with content.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            sha256 = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return cls(path, content, size, git_blob_id(pointer), sha256, len(pointer))

    def byte(self, offset: int) -> int:
        """One byte of the content."""
        if isinstance(self.content, bytes):
            return self.content[offset]
        with self.content.open("rb") as file:
            file.seek(offset)
            return file.read(1)[0]

    def sibling(self, *, blobs: bool) -> dict[str, Any]:
        """The file as `model_info` lists it."""
        if not blobs:
            return {"rfilename": self.path}
        lfs = {"sha256": self.sha256, "size": self.size, "pointerSize": self.pointer_size}
        entry = {"rfilename": self.path, "size": self.size, "blobId": self.blob_id}
        return entry | ({"lfs": lfs} if self.sha256 else {})

    def tree_entry(self) -> dict[str, Any]:
        """The file as a tree listing has it."""
        lfs = {"oid": self.sha256, "size": self.size, "pointerSize": self.pointer_size}
        entry = {"type": "file", "oid": self.blob_id, "size": self.size, "path": self.path}
        return entry | ({"lfs": lfs} if self.sha256 else {})


@dataclass(frozen=True)
class Commit:
    """All files of a repository at one time."""

    id: str
    files: dict[str, HubFile]

    @classmethod
    def of(cls, files: Mapping[str, bytes | Path], parent: str) -> Commit:
        """Return a commit whose id follows from the content and the parent."""
        made = {path: HubFile.of(path, content) for path, content in sorted(files.items())}
        lines = [f"parent {parent}", *(f"{file.blob_id} {path}" for path, file in made.items())]
        return cls(hashlib.sha1("\n".join(lines).encode(), usedforsecurity=False).hexdigest(), made)

    def folder_id(self, folder: str) -> str:
        """Return an id for a folder, as for a git tree."""
        below = [
            f"{file.blob_id} {path}" for path, file in self.files.items() if path.startswith(f"{folder}/")
        ]
        return git_blob_id("\n".join(below).encode())

    def tree(self, folder: str = "", *, recursive: bool) -> list[dict[str, Any]]:
        """Return the files and folders in a folder; empty if there is no such folder."""
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, file in self.files.items():
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                parent = prefix + "/".join(parts[:depth])
                oid = self.folder_id(parent)
                entries[parent] = {"type": "directory", "oid": oid, "size": 0, "path": parent}
            if recursive or len(parts) == 1:
                entries[path] = file.tree_entry()
        return list(entries.values())


@dataclass
class Repository:
    """A model repository: its commits, and the branches and tags that point to them."""

    id: str
    gated: bool = False
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, files: Mapping[str, bytes | Path], branch: str) -> str:
        """Make a commit of exactly these files and move the branch to it."""
        commit = Commit.of(files, self.branches.get(branch, ""))
        self.commits[commit.id] = commit
        self.branches[branch] = commit.id
        return commit.id

    def at(self, revision: str) -> Commit | None:
        """Return the commit of a branch, a tag or a commit id."""
        return self.commits.get(self.branches.get(revision) or self.tags.get(revision) or revision)

    def info(self, commit: Commit, *, blobs: bool) -> dict[str, Any]:
        """Return the response that `model_info` reads."""
        return {
            "_id": git_blob_id(self.id.encode())[:24],
            "id": self.id,
            "modelId": self.id,
            "author": self.id.split("/")[0],
            "sha": commit.id,
            "lastModified": _DATE,
            "createdAt": _DATE,
            "private": self.private,
            "gated": "manual" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [file.sibling(blobs=blobs) for file in commit.files.values()],
        }

    def refs(self) -> dict[str, Any]:
        """Return the response that `list_repo_refs` reads."""

        def entries(kind: str, refs: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": id} for name, id in refs.items()
            ]

        return {
            "branches": entries("heads", self.branches),
            "tags": entries("tags", self.tags),
            "converts": [],
        }


@dataclass
class Faults:
    """The faults to inject, all off by default; `…_every` is n for each n-th time."""

    latency_seconds: float = 0
    """Latency of each response of both listeners."""
    rate_limit_every: int = 0
    """Requests on the Hub that get a 429."""
    retry_after_seconds: int = 1
    """Retry-After of a 429."""
    server_error_every: int = 0
    """Requests on either listener that get a 500 or a 503, in turn."""
    truncate_every: int = 0
    """Bodies of more than 1 kB, of either listener, after half of which the connection is closed."""
    expire_links_after: int = 0
    """Requests that a link to the CDN serves before it expires."""
    corrupt: set[str] = field(default_factory=set)
    """Paths of files that are served with the byte in the middle flipped, whatever the range."""
    bare_listing: bool = False
    """List files without size and hash, as a mirror may."""
    unnamed_commit: bool = False
    """List files without the commit that they are of, as a mirror may."""
    refuse_queries: bool = False
    """Answer 404 to a query of the listing, as an artifact repository may."""
    refuse_ranges: bool = False
    """Answer 200 and the whole file to a request for a range."""
    stall_every: int = 0
    """Bodies, of either listener, that pause half way for `stall_seconds`."""
    stall_seconds: float = 1
    _seen: Counter[str] = field(default_factory=Counter, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def due(self, fault: str) -> int:
        """Count one more event; return 0 if it succeeds, else the number of faults of this kind so far."""
        every: int = getattr(self, f"{fault}_every")
        if every <= 0:
            return 0
        with self._lock:
            self._seen[fault] += 1
            times, remainder = divmod(self._seen[fault], every)
        return 0 if remainder else times
