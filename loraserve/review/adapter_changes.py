"""Changes of the published adapters, name by name."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.limits import PINNED, PINNED_LABEL, TENANT_LABEL, pairs
from adapters.source import HubSource, PackedSource, SourceError, parse_source
from loraserve.review.assembly import Stage
from loraserve.review.values import SEEDING, properties_of
from stacks.facts import PackedAdapterFacts

#: Text of an absent digest, and of no labels or limits.
NONE = "none"


class What(Enum):
    """Kind of a change."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    SOURCE = "source"
    """Other files: another commit, directory or digest."""
    MOVED = "moved"
    """The same files, by their digest, from another source."""
    CHECKSUM = "sha256"
    """The expected digest of the same source."""
    LABELS = "labels"
    """Labels without an effect."""
    TENANT = "tenant"
    PINNED = "pinned"
    LIMITS = "limits"
    TENANT_LIMITS = "limits of its tenant"


@dataclass(frozen=True, kw_only=True)
class AdapterChange:
    """A change of one published adapter; an adapter may have several."""

    name: str
    """The name on the base, unless it is new."""
    what: What
    before: str
    """The base's source, digest, labels or limits; of a renamed one its old name; empty for a new one."""
    after: str
    unpinned: bool = False
    """The files may change without a change of the manifest, unlike before."""

    @property
    def is_guard(self) -> bool:
        """True for an expected digest where there was none."""
        return self.what is What.CHECKSUM and self.before == NONE


def changes_between(
    before: Sequence[PackedAdapterFacts], after: Sequence[PackedAdapterFacts]
) -> list[AdapterChange]:
    """Compare two packed manifests; a removed name with equal content under a new one is renamed."""
    old, new = _by_name(before), _by_name(after)
    added = dict.fromkeys(name for name in new if name not in old)
    twins: dict[tuple[str | None, ...], list[str]] = defaultdict(list)
    for name in reversed(added):
        twins[_content(new[name])].append(name)
    changes = []
    for name, entry in old.items():
        if name in new:
            changes += _of_entry(name, entry, new[name])
            continue
        if same := twins[_content(entry)]:
            twin = same.pop()
            del added[twin]
            changes.append(AdapterChange(name=name, what=What.RENAMED, before=name, after=twin))
        else:
            changes.append(AdapterChange(name=name, what=What.REMOVED, before=entry.source, after=""))
    changes += [
        AdapterChange(
            name=name, what=What.ADDED, before="", after=new[name].source, unpinned=not is_pinned(new[name])
        )
        for name in added
    ]
    return changes


def published(stage: Stage) -> tuple[PackedAdapterFacts, ...] | None:
    """Return a stage's adapters: from its facts, else from the packed manifest; None if neither is there."""
    return manifest_adapters(stage) if stage.facts is None else stage.facts.adapters


def manifest_adapters(stage: Stage) -> tuple[PackedAdapterFacts, ...] | None:
    """Return the adapters of the packed manifest; None if it cannot be read."""
    manifest = packed_manifest(stage)
    try:
        return (
            None
            if manifest is None
            else tuple(PackedAdapterFacts.model_validate(each) for each in manifest["adapters"])
        )
    except (ValidationError, KeyError, TypeError):
        return None


def packed_manifest(stage: Stage) -> Mapping[str, Any] | None:
    """Return the manifest in the asset that the seeder reads; None if it cannot be read."""
    seeding = next(properties_of(stage, SEEDING), {})
    asset = stage.asset(seeding.get("ManifestKey"))
    return None if asset is None else _manifest(asset.path)


def is_pinned(adapter: PackedAdapterFacts) -> bool:
    """Return True if the files are always the same: a commit, a packed directory, or a digest."""
    try:
        source = parse_source(adapter.source)
    except SourceError:
        return False
    if isinstance(source, HubSource):
        return source.is_pinned
    return isinstance(source, PackedSource) or (adapter.sha256 or adapter.digest) is not None


def _manifest(path: Path) -> Mapping[str, Any] | None:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = json.loads(archive.read("manifest.json"))
        else:
            content = json.loads((path / "manifest.json").read_text())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return content if isinstance(content, dict) else None


def _by_name(entries: Sequence[PackedAdapterFacts]) -> dict[str, PackedAdapterFacts]:
    return {name: entry for entry in entries for name in entry.names}


def _content(entry: PackedAdapterFacts) -> tuple[str | None, ...]:
    return (entry.digest,) if entry.digest is not None else (entry.source, entry.sha256)


def _checksum(entry: PackedAdapterFacts) -> str | None:
    """Return what the seeder compares; the source of a packed directory is its digest."""
    return entry.sha256 if entry.source.startswith("asset://") else entry.digest or entry.sha256


def _of_entry(name: str, before: PackedAdapterFacts, after: PackedAdapterFacts) -> list[AdapterChange]:
    changes = []
    old, new = _checksum(before), _checksum(after)
    dropped = old is not None and new is None
    unpinned = dropped or (is_pinned(before) and not is_pinned(after))
    if before.source != after.source and before.digest is not None and before.digest == after.digest:
        changes.append(AdapterChange(name=name, what=What.MOVED, before=before.source, after=after.source))
    elif before.source != after.source:
        changes.append(
            AdapterChange(
                name=name, what=What.SOURCE, before=before.source, after=after.source, unpinned=unpinned
            )
        )
    elif old != new:
        changes.append(
            AdapterChange(
                name=name,
                what=What.CHECKSUM,
                before=old or NONE,
                after=new or NONE,
                unpinned=dropped,
            )
        )
    old_declared, new_declared = _declared(before), _declared(after)
    changes += [
        AdapterChange(name=name, what=what, before=one, after=new_declared[what])
        for what, one in old_declared.items()
        if one != new_declared[what]
    ]
    return changes


def _declared(adapter: PackedAdapterFacts) -> dict[What, str]:
    """Return what a manifest declares about an adapter besides its files, each as a text."""
    labels = adapter.labels
    free = {key: value for key, value in labels.items() if key not in {TENANT_LABEL, PINNED_LABEL}}
    return {
        What.LABELS: pairs(free) or NONE,
        What.TENANT: labels.get(TENANT_LABEL, NONE),
        What.PINNED: "yes" if labels.get(PINNED_LABEL) == PINNED else "no",
        What.LIMITS: pairs(adapter.limits) or NONE,
        What.TENANT_LIMITS: pairs(adapter.tenant_limits) or NONE,
    }
