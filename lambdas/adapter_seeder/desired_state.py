"""The desired content of the store: the manifest asset that synth packed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.source import Source, parse_source
from ingest.archive import Archive


@dataclass(frozen=True)
class DesiredAdapter:
    """One name of the manifest."""

    name: str
    source: Source
    sha256: str | None = None
    """SHA-256 (hex) of the weights, if the manifest states it."""
    labels: dict[str, str] = field(default_factory=dict)
    digest: str | None = None
    """SHA-256 (hex) over both files, if the manifest states it; see `RegistryEntry.digest`."""
    origin: str = ""
    """See `RegistryEntry.origin`."""
    limits: dict[str, int] = field(default_factory=dict)
    """See `RegistryEntry.limits`."""
    tenant_limits: dict[str, int] = field(default_factory=dict)
    """See `RegistryEntry.tenant_limits`."""


@dataclass(frozen=True)
class DesiredState:
    """The manifest, and the archive with its local adapters and its local model."""

    manifest: str
    """Identity of the manifest: the key of its asset, which follows from its content."""
    adapters: list[DesiredAdapter]
    removals: float
    """Share of the published adapters that this seeding may remove; 1 for all."""
    model_sha256: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 (hex) of each file of the packed model; empty if the manifest asset has no model."""
    archive: Archive | None = None

    @classmethod
    def read(cls, manifest: str, archive: Archive) -> DesiredState:
        """Read the manifest that `stacks.config.manifest` packed; `manifest` is the key of its asset.

        Every key is there, as every property is (`Properties`): a rollback brings back the function of the
        former manifest before that manifest, because the custom resource depends on the function.
        """
        data: dict[str, Any] = json.loads(archive.read("manifest.json"))
        adapters = [
            DesiredAdapter(
                name,
                parse_source(item["source"]),
                item["sha256"],
                item["labels"],
                item["digest"],
                item["origin"],
                item["limits"],
                item["tenant_limits"],
            )
            for item in data["adapters"]
            for name in item["names"]
        ]
        return cls(manifest, adapters, data["removals"], data["model"], archive)
