"""What the store must hold: the manifest asset, read where it lies."""

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
    """Of the weights (hex), if the manifest says it."""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Desired:
    """The manifest, and the archive that local adapters and a local model came in."""

    adapters: list[DesiredAdapter]
    model_sha256: Mapping[str, str]
    """The packed model's files, with their SHA-256 (hex); empty if there is none."""
    archive: Archive | None = None

    @classmethod
    def read(cls, archive: Archive) -> Desired:
        """Read the manifest that `stacks.config.manifest` packed."""
        data: dict[str, Any] = json.loads(archive.read("manifest.json"))
        adapters = [
            DesiredAdapter(name, parse_source(item["source"]), item["sha256"], item["labels"])
            for item in data["adapters"]
            for name in item["names"]
        ]
        return cls(adapters, data["model"], archive)
