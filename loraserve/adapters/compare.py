"""Comparing registries: with the adapters that are wanted, and of two stages with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adapters.store.layout import RegistryEntry, revision_of
from adapters.store.publishing import BY_HAND
from loraserve.adapters.stage_store import StageStore
from stacks.config.manifest import Manifest


class DifferenceKind(StrEnum):
    """Kind of a difference between a registry and the adapters that are wanted."""

    MISSING = "missing"
    """Wanted, and not published."""
    OTHER = "other"
    """Published with other files."""
    EXTRA = "extra"
    """Published by a stack, and not wanted."""
    BY_HAND = "by-hand"
    """Published by hand, and not wanted: no deployment removes it."""


@dataclass(frozen=True)
class RegistryDifference:
    """A name whose registry entry is not the wanted one."""

    name: str
    kind: DifferenceKind
    wanted: str | None
    """Digest; None if the name is not wanted, or with any files."""
    found: str | None
    """Digest of the registry entry; None if the name is not published."""

    def __str__(self) -> str:
        """Return it in a few words."""
        match self.kind:
            case DifferenceKind.MISSING:
                return f"{self.name}: not published"
            case DifferenceKind.OTHER:
                return f"{self.name}: revision {_revision(self.found)}, wanted {_revision(self.wanted)}"
            case DifferenceKind.EXTRA:
                return f"{self.name}: revision {_revision(self.found)}, not wanted"
        return f"{self.name}: revision {_revision(self.found)}, published by hand"


@dataclass(frozen=True)
class ServedDifference:
    """A name that two stages serve with different files, or that one of them does not serve."""

    name: str
    giving: str | None
    """Revision; None if the stage does not serve it."""
    taking: str | None
    is_declared: bool
    """The taking stage's manifest says so: it has another revision locked, or does not list the name."""


def registry_differences(
    entries: Iterable[RegistryEntry], wanted: Mapping[str, str | None]
) -> list[RegistryDifference]:
    """Compare registry entries with the wanted digests by name; None is any files. By name.

    `StageFacts.adapter_digests` has those of a stage's side of a release.
    """
    found = {entry.name: entry for entry in entries}
    differences = []
    for name in sorted({*found, *wanted}):
        entry, digest = found.get(name), wanted.get(name)
        if entry is None:
            differences.append(RegistryDifference(name, DifferenceKind.MISSING, digest, None))
        elif name not in wanted:
            kind = DifferenceKind.BY_HAND if entry.owner == BY_HAND else DifferenceKind.EXTRA
            differences.append(RegistryDifference(name, kind, None, entry.digest))
        elif digest not in {None, entry.digest}:
            differences.append(RegistryDifference(name, DifferenceKind.OTHER, digest, entry.digest))
    return differences


def served_differences(giving: StageStore, taking: StageStore) -> list[ServedDifference]:
    """Compare the registries of two stages, of which `taking` is promoted from `giving`; by name."""
    here, there = ({one.entry.name: one.entry for one in store.list()} for store in (giving, taking))
    declared = digests(taking.stage.manifest)
    differences = []
    for name in sorted({*here, *there}):
        old, new = here.get(name), there.get(name)
        if old is None or new is None or old.digest != new.digest:
            is_declared = name not in declared if new is None else declared.get(name) == new.digest
            differences.append(
                ServedDifference(
                    name, old.revision if old else None, new.revision if new else None, is_declared
                )
            )
    return differences


def digests(manifest: Manifest) -> dict[str, str | None]:
    """Return the digest of each name of a manifest; None for an entry without one."""
    return {name: adapter.digest for adapter in manifest.adapters for name in adapter.names()}


def _revision(digest: str | None) -> str:
    return "any" if digest is None else revision_of(digest)
