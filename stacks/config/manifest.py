"""The adapter manifest: adapters of a stage and their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from adapters.errors import AdapterError
from adapters.files import BytesFile, sha256_of, write_file
from adapters.names import check_name
from adapters.source import HubSource, LocalSource, PackedSource, S3Source, Source, SourceError, parse_source
from adapters.store.layout import (
    ADAPTER_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    adapter_prefix,
    content_digest,
    revision_of,
)
from ingest.adapter_files import CONVERSION_FILE, Conversion
from ingest.local_directory import check_directory, read_directory
from ingest.pytorch.converted_file import CHECKPOINT_FILE, ConvertedFile
from stacks.typed_yaml import Strict, shaped


def _checked_name(name: str) -> str:
    try:
        return check_name(name)
    except AdapterError as error:
        raise ValueError(f"{error.problem}; {error.remedy}") from error


_SHA256 = shaped("[0-9a-f]{64}", "write the 64 digits of a SHA-256, lower-case, in quotes")


def _checked_removals(value: Any) -> Any:
    if value == "allow" or (type(value) in {int, float} and 0 <= value < 1):
        return value
    raise ValueError("write allow, or a share of the published adapters, from 0 to below 1, such as 0.2")


class Adapter(Strict):
    """One entry of the manifest."""

    name: Annotated[str, AfterValidator(_checked_name)]
    """Lower-case letters, digits and `. _ -`, in parts separated by `/`; at most 200 characters, no `--`."""
    source: str
    """`hf://org/repo@<commit>`, `hf://org/repo/folder@<commit>`, `s3://bucket/prefix/` or a local directory,
    relative to the manifest."""
    sha256: Annotated[str, _SHA256] | None = None
    """Expected SHA-256 of the weights file at the source; without it, the source is trusted. Of a source with
    `adapter_model.bin` it is that file's hash, as the Hub shows it, not the one of the safetensors file that
    it is converted to."""
    digest: Annotated[str, _SHA256] | None = None
    """Expected SHA-256 over both files as they are published, which the seeder checks before it publishes
    anything; `adapters lock` writes it."""
    origin: str | None = None
    """Source from which the first of the stages took the files; `adapters lock` writes it for the record."""
    labels: dict[str, str] = Field({})
    """Free-form labels, listed with the adapter."""
    copies: int | None = Field(None, ge=1, le=9999)
    """Publish N copies, name-0001 … name-N, instead: to test with many adapters."""

    @property
    def parsed_source(self) -> Source:
        """The parsed source; raises `adapters.source.SourceError` if it is invalid."""
        return parse_source(self.source)

    @property
    def locked_source(self) -> S3Source | None:
        """The source of a locked adapter: its revision in the store of a stage; None for any other source."""
        try:
            source = self.parsed_source
        except SourceError:
            return None
        if self.digest is None or self.copies is not None or not isinstance(source, S3Source):
            return None
        return source if source.prefix == adapter_prefix(self.name, revision_of(self.digest)) else None

    def names(self) -> list[str]:
        """Return the names under which it is published."""
        if self.copies is None:
            return [self.name]
        return [f"{self.name}-{number:04d}" for number in range(1, self.copies + 1)]

    def source_problem(self, directory: Path, *, unpinned: bool) -> str | None:
        """Return what is wrong with the source; None if nothing. Relative paths start at `directory`."""
        try:
            source = self.parsed_source
            if isinstance(source, LocalSource):
                check_directory(source.path, directory / source.path)
        except SourceError as error:
            return f"{self.source!r}: {error.problem}; {error.remedy}"
        match source:
            case HubSource() if not (unpinned or source.is_pinned):
                return f"{source.revision!r} is not a commit; pin the 40-digit commit that was tested"
            case PackedSource():
                return f"{self.source!r}: only the packed manifest has such sources; name the directory"
        return None


class Manifest(Strict):
    """The adapters of a stage."""

    adapters: list[Adapter]
    """List of entries, each with `name` and `source`; `[]` for none. Their keys are below."""
    removals: Annotated[float | Literal["allow"], BeforeValidator(_checked_removals)] = 0.2
    """Share of the stage's published adapters that a deploy may remove: above it, the deploy fails before it
    changes anything. A single adapter may always be removed, except with 0. `allow`: any number, in
    every deploy until the key is deleted; synth warns as long as it is there."""

    @model_validator(mode="after")
    def _unique(self) -> Manifest:
        seen: set[str] = set()
        for name in map(_checked_name, self.published_names()):
            if name in seen:
                raise ValueError(f"adapter {name!r} is listed twice, copies included; keep one of them")
            seen.add(name)
        return self

    @property
    def removable_share(self) -> float:
        """The share of the published adapters that a deploy may remove; 1 for all."""
        return 1.0 if self.removals == "allow" else self.removals

    def published_names(self) -> Iterator[str]:
        """Yield every published name, copies included."""
        for adapter in self.adapters:
            yield from adapter.names()

    def unpinned_sources(self) -> list[str]:
        """Return the Hub sources that name a branch or a tag, which may move."""
        sources = [adapter.parsed_source for adapter in self.adapters]
        return sorted({str(s) for s in sources if isinstance(s, HubSource) and not s.is_pinned})

    def source_buckets(self) -> list[str]:
        """Return the source buckets, which the seeder needs read access to."""
        sources = [adapter.parsed_source for adapter in self.adapters]
        return sorted({source.bucket for source in sources if isinstance(source, S3Source)})

    def pack(self, directory: Path, target: Path) -> list[dict[str, Any]]:
        """Copy local adapters below `target`/adapters and return the list the seeder reads.

        `directory` is the manifest's. A packed directory is named by its content digest, so that an adapter
        whose path changes is not a new one. Weights are packed as safetensors, converted if need be: an
        archive is read from its start to its end, a checkpoint is not.
        """
        packed = []
        for adapter in self.adapters:
            source, sha256, digest = adapter.parsed_source, adapter.sha256, adapter.digest
            if isinstance(source, LocalSource):
                source, sha256, digest = _pack(source, directory, target / "adapters")
            packed.append(
                {
                    "names": adapter.names(),
                    "source": str(source),
                    "sha256": sha256,
                    "digest": digest,
                    "origin": adapter.origin or "",
                    "labels": adapter.labels,
                }
            )
        return packed


def _pack(source: LocalSource, directory: Path, target: Path) -> tuple[PackedSource, str, str]:
    """Pack an adapter into `target`/<digest>.

    Also returns the SHA-256 (hex) of its weights at the source, and the digest of the files as published.
    """
    files = read_directory(source.path, directory / source.path)
    sha256 = {CONFIG_FILE: sha256_of(BytesFile(files.config))}
    conversion = None
    if isinstance(files.weights, ConvertedFile):
        digests = files.weights.digests()
        conversion = Conversion(CHECKPOINT_FILE, digests.checkpoint, digests.converted)
        # Both: the same weights from another file are another source.
        sha256 |= {CHECKPOINT_FILE: digests.checkpoint, WEIGHTS_FILE: digests.converted}
    else:
        sha256[WEIGHTS_FILE] = sha256_of(files.weights)
    digest = content_digest(sha256)
    published = content_digest({file: sha256[file] for file in ADAPTER_FILES})
    folder = target / digest
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / CONFIG_FILE).write_bytes(files.config)
        write_file(files.weights, folder / WEIGHTS_FILE)
        if conversion is not None:
            (folder / CONVERSION_FILE).write_text(conversion.to_json())
    weights = CHECKPOINT_FILE if conversion is not None else WEIGHTS_FILE
    return PackedSource(digest), sha256[weights], published


def write_json(path: Path, data: Any) -> None:
    """Write JSON that depends on the data alone, so that equal input gives an equal asset."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
