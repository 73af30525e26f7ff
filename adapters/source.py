"""Sources of an adapter's files, as a manifest writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.errors import AdapterError

_HUB = re.compile(r"^hf://(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)$")
_S3 = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>.+/)$")
_PACKED = re.compile(r"^asset://(?P<digest>[0-9a-f]{64})/$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class SourceError(AdapterError):
    """A source that is malformed, or that cannot be read."""

    def __init__(self, source: str, problem: str, remedy: str) -> None:
        """`source` is the text of the source, or the part of it that is at fault."""
        super().__init__(source, problem, remedy)
        self.args = (f"source {source!r}: {problem}; {remedy}",)


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face Hub at a commit, a branch or a tag."""

    repo: str
    revision: str

    @property
    def is_pinned(self) -> bool:
        """True for a commit; branches and tags move."""
        return _COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> HubSource:
        """Return the same repository at this commit."""
        return HubSource(self.repo, commit)

    def __str__(self) -> str:
        """Return it as a manifest writes it."""
        return f"hf://{self.repo}@{self.revision}"


@dataclass(frozen=True)
class S3Source:
    """A prefix of a bucket; it ends with a slash."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        """Return it as a manifest writes it."""
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class PackedSource:
    """A local directory that synth has packed into the manifest asset, named by its content digest."""

    digest: str

    def __str__(self) -> str:
        """Return it as the packed manifest writes it."""
        return f"asset://{self.digest}/"


@dataclass(frozen=True)
class LocalSource:
    """A directory, relative to the manifest."""

    path: str

    def __str__(self) -> str:
        """Return it as a manifest writes it."""
        return self.path


Source = HubSource | S3Source | PackedSource | LocalSource


def parse_source(text: str) -> Source:
    """Parse a source; raise `SourceError` if it is malformed."""
    if match := _HUB.fullmatch(text):
        return HubSource(match["repo"], match["revision"])
    if match := _S3.fullmatch(text):
        return S3Source(match["bucket"], match["prefix"])
    if match := _PACKED.fullmatch(text):
        return PackedSource(match["digest"])
    if text and "://" not in text:
        return LocalSource(text)
    if text.startswith("s3://") and not text.endswith("/"):
        raise SourceError(text, "the prefix does not end with '/'", f"write {text}/")
    raise SourceError(
        text, "it is not a source", "write hf://org/repo@commit, s3://bucket/prefix/ or a local directory"
    )
