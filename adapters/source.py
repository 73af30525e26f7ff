"""Sources of an adapter's files, as a manifest writes them.

    hf://org/repo@commit           a repository of the Hub
    hf://org/repo/folder@commit    a folder of it
    s3://bucket/prefix/            a prefix of a bucket
    ./directory                    a directory, relative to the manifest

The Hub's own URIs have the folder after the revision, `hf://org/repo@commit/folder` (huggingface_hub,
`utils/_hf_uris.py`). That is understood where the end of the revision is certain: after a commit, and after
the Hub's special refs, such as `refs/pr/1`. Any other revision extends to the end of the text, because the
name of a branch may contain `/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from adapters.errors import AdapterError
from adapters.hub_ids import is_hub_folder, is_hub_id
from adapters.source_remedies import HUB_KINDS, correction, is_archive, is_hub_page, unpacking

_HUB = re.compile(r"^hf://(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<folder>.*))?@(?P<revision>.+)$", re.ASCII)
_REVISION = re.compile(r"^[\w./-]+$", re.ASCII)
#: A revision whose end is certain, and a folder. Special refs as in huggingface_hub, `utils/_hf_uris.py`.
_REVISION_AND_FOLDER = re.compile(
    r"^(?P<revision>[0-9a-fA-F]{40}|refs/pr/\d+|refs/convert/[\w.-]+)/(?P<folder>.*)$", re.ASCII
)
_S3 = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>.+/)$")
_PACKED = re.compile(r"^asset://(?P<digest>[0-9a-f]{64})/$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
#: The beginning of a URI; a drive of Windows has one letter.
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")


class SourceError(AdapterError):
    """A source that is malformed, or that cannot be read."""

    def __init__(self, source: str, problem: str, remedy: str) -> None:
        """`source` is the text of the source, or the part of it that is at fault."""
        super().__init__(source, problem, remedy)
        self.args = (f"source {source!r}: {problem}; {remedy}",)


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face Hub at a commit, a branch or a tag, or a folder of it."""

    repo: str
    revision: str
    folder: str = ""
    """Path of the folder inside the repository, without a slash at either end; empty for its root."""

    @property
    def is_pinned(self) -> bool:
        """True for a commit; branches and tags move."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def root(self) -> HubSource:
        """The whole repository at the same revision."""
        return replace(self, folder="")

    def at(self, commit: str) -> HubSource:
        """Return the same folder of the same repository at this commit."""
        return replace(self, revision=commit)

    def below(self, folder: str) -> HubSource:
        """Return a folder inside this one."""
        return replace(self, folder=f"{self.folder}/{folder}".strip("/"))

    def __str__(self) -> str:
        """Return it as a manifest writes it."""
        return f"hf://{self.repo}{'/' if self.folder else ''}{self.folder}@{self.revision}"


@dataclass(frozen=True)
class S3Source:
    """A prefix of a bucket; it ends with a slash."""

    bucket: str
    prefix: str

    def below(self, folder: str) -> S3Source:
        """Return a prefix inside this one."""
        return replace(self, prefix=f"{self.prefix}{folder}/")

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

    def below(self, folder: str) -> LocalSource:
        """Return a directory inside this one."""
        return LocalSource(f"{self.path.rstrip('/')}/{folder}")

    def __str__(self) -> str:
        """Return it as a manifest writes it."""
        return self.path


Source = HubSource | S3Source | PackedSource | LocalSource


def parse_source(text: str) -> Source:
    """Parse a source; raise `SourceError` if it is malformed."""
    if (stripped := text.strip()) != text:
        parse_source(stripped)
        raise SourceError(text, "there are spaces around it", f"write {stripped}")
    if match := _HUB.fullmatch(text):
        return _hub_source(text, match)
    if match := _S3.fullmatch(text):
        if is_archive(text):
            raise SourceError(text, "it is an archive", unpacking(text))
        return S3Source(match["bucket"], match["prefix"])
    if match := _PACKED.fullmatch(text):
        return PackedSource(match["digest"])
    if text and _SCHEME.match(text) is None and not is_hub_page(text):
        return LocalSource(text)
    raise SourceError(text, *correction(text))


def _hub_source(text: str, match: re.Match[str]) -> HubSource:
    repo, revision, folder = match["repo"], match["revision"].rstrip("/"), (match["folder"] or "").rstrip("/")
    if repo.partition("/")[0] in HUB_KINDS or not is_hub_id(repo):
        raise SourceError(text, *correction(text))
    if behind := _REVISION_AND_FOLDER.fullmatch(revision):
        if folder:
            raise SourceError(
                text, "it has a folder before and after the '@'", "write both before it, as one path"
            )
        revision, folder = behind["revision"], behind["folder"]
    if _COMMIT.fullmatch(revision.lower()):
        revision = revision.lower()
    if _REVISION.fullmatch(revision) is None:
        raise SourceError(
            text, f"{revision!r} is not a revision", "write a commit, or a branch's name as the Hub shows it"
        )
    if folder and not is_hub_folder(folder):
        raise SourceError(
            text, f"{folder!r} is not a folder of a repository", "write its path from the repository's root"
        )
    return HubSource(repo, revision, folder)
