"""The adapter manifest: adapters of a stage and their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from adapters.closest import closest
from adapters.errors import AdapterError
from adapters.files import BytesFile, sha256_of, write_file
from adapters.limits import MAX_PRIORITY, PINNED, PINNED_LABEL, TENANT_LABEL, label_problem
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


def _pinned_as_text(labels: Any) -> Any:
    """Return labels with the text of `pinned: true` or `false`, which YAML reads as no text."""
    if isinstance(labels, dict) and isinstance(pinned := labels.get(PINNED_LABEL), bool):
        return labels | {PINNED_LABEL: str(pinned).lower()}
    return labels


def _checked_labels(labels: dict[str, str]) -> dict[str, str]:
    if (problem := label_problem(labels)) is not None:
        raise ValueError(problem)
    return labels


class DeclaredLimits(Strict):
    """Limits of an adapter or a tenant on each instance; a key that is left out sets none.

    See [adapters.md](adapters.md#tenants-and-limits).
    """

    max_concurrent: int | None = Field(None, ge=1)
    """Requests at the engine at once."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """Tokens of prompts and answers within a minute."""
    priority: int | None = Field(None, ge=1, le=MAX_PRIORITY)
    """Weight of its share of a busy engine; without it 1."""

    def packed(self) -> dict[str, int]:
        """Return the limits that are set, as a registry entry has them."""
        return self.model_dump(exclude_none=True)


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
    labels: Annotated[dict[str, str], BeforeValidator(_pinned_as_text), AfterValidator(_checked_labels)] = (
        Field({})
    )
    """Free-form labels, listed with the adapter. Two have an effect: `tenant: NAME` makes it share the limits
    and the engine's time of that tenant, and `pinned: true` keeps it in the engine's memory."""
    limits: DeclaredLimits = DeclaredLimits()
    """Limits of this adapter alone; each copy has them."""
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
    tenants: dict[str, DeclaredLimits] = Field({})
    """Limits that all adapters with one label `tenant` share, by the tenant's name; the keys are those of an
    adapter's `limits`. A tenant without an entry has none."""
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

    @model_validator(mode="after")
    def _tenants_in_use(self) -> Manifest:
        named = {tenant for adapter in self.adapters if (tenant := adapter.labels.get(TENANT_LABEL))}
        for tenant in self.tenants:
            if tenant not in named:
                raise ValueError(
                    f"tenants.{tenant}: no adapter has the label {TENANT_LABEL}: {tenant}"
                    f"{closest(tenant, sorted(named))}: correct it, or take it out"
                )
        return self

    @property
    def removable_share(self) -> float:
        """The share of the published adapters that a deploy may remove; 1 for all."""
        return 1.0 if self.removals == "allow" else self.removals

    def pinned_names(self) -> list[str]:
        """Return the published names that stay in the engine's memory, copies included."""
        pinned = [adapter for adapter in self.adapters if adapter.labels.get(PINNED_LABEL) == PINNED]
        return [name for adapter in pinned for name in adapter.names()]

    def tenant_limits(self, labels: Mapping[str, str]) -> dict[str, int]:
        """Return the limits of the tenant that an adapter's labels name, as a registry entry has them."""
        found = self.tenants.get(labels.get(TENANT_LABEL, ""))
        return {} if found is None else found.packed()

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
                    "limits": adapter.limits.packed(),
                    "tenant_limits": self.tenant_limits(adapter.labels),
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
