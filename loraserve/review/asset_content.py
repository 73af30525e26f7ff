"""Content behind the hashes of assets: changed files, packages of a layer, configs of packed adapters."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loraserve.review.assembly import Asset, Stage
from loraserve.review.comparison import equal
from loraserve.review.difference import Json
from loraserve.review.values import SEEDING, mappings, properties_of

#: Lines of a list of files.
_MAX_FILES = 10
#: A package's version, in the name of the folder that each wheel has (packaging.python.org, "Recording
#: installed projects").
_PACKAGE = re.compile(r"(?:^|/)(?P<name>[A-Za-z0-9_.]+)-(?P<version>[^-/]+)\.dist-info/METADATA$")
#: Folder of a packed adapter: `asset://<digest>/` in the manifest (adapters.source).
_PACKED = re.compile(r"asset://(?P<digest>[0-9a-f]{64})/")


def changed_files(before: Asset, after: Asset) -> list[str]:
    """List the files that differ, a line each, sorted by name."""
    old, new = _files(before.path), _files(after.path)
    lines = []
    for name in sorted({*old, *new}):
        if name not in old:
            lines.append(f"added: {name}")
        elif name not in new:
            lines.append(f"removed: {name}")
        elif old[name] != new[name]:
            lines.append(f"changed: {name}")
    return lines


def capped(lines: Sequence[str]) -> list[str]:
    """Keep the first lines of a list, and say how many more there are."""
    more = len(lines) - _MAX_FILES
    return [*lines[:_MAX_FILES], *([f"and {more} more"] if more > 0 else [])]


def build_changes(before: Asset, after: Asset) -> list[str]:
    """List what differs in the build of an image or in the packing of files, a line each."""
    return [
        f"{path}: {old} → {new}"
        for path, old, new in _flat("", before.build, after.build)
        if path not in {"path", "directory"}  # they have the hash
    ]


def package_changes(before: Asset, after: Asset) -> list[str]:
    """List the Python packages whose version differs, a line each."""
    old, new = _packages(before.path), _packages(after.path)
    return [
        f"{name} {old.get(name, 'new')} → {new.get(name, 'removed')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def packed_configs(stage: Stage | None) -> dict[str, Mapping[str, Json] | None]:
    """Return the configs of a stage's adapters by published name; None for one that is not packed."""
    found: dict[str, Mapping[str, Json] | None] = {}
    for folder in _manifests(stage):
        for entry in mappings(_read(folder / "manifest.json").get("adapters")):
            packed = _PACKED.fullmatch(str(entry.get("source")))
            config = None
            if packed is not None:
                config = _read(folder / "adapters" / packed["digest"] / "adapter_config.json") or None
            found |= dict.fromkeys(map(str, entry.get("names", ())), config)
    return found


def rank_of(config: Mapping[str, Json]) -> int:
    """Return the largest rank of an adapter, by its config."""
    pattern = config.get("rank_pattern")
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    return max((rank for rank in ranks if isinstance(rank, int)), default=0)


def _manifests(stage: Stage | None) -> Iterator[Path]:
    for seeding in properties_of(stage, SEEDING):
        asset = None if stage is None else stage.asset(seeding.get("ManifestKey"))
        if asset is not None:
            yield asset.path


def _read(path: Path) -> dict[str, Json]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _files(path: Path) -> dict[str, object]:
    """Return a value for each file that is equal if its content is; of a folder, or of a zip archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # CRC and size: enough to name a file, the archive's hash says that something differs.
            return {each.filename: (each.CRC, each.file_size) for each in archive.infolist()}
    if path.is_dir():
        files = (each for each in path.rglob("*") if each.is_file())
        return {each.relative_to(path).as_posix(): each.read_bytes() for each in files}
    return {path.name: path.read_bytes()} if path.exists() else {}


def _packages(path: Path) -> dict[str, str]:
    matches = (_PACKAGE.search(name) for name in _files(path))
    return {match["name"]: match["version"] for match in matches if match is not None}


def _flat(path: str, before: Json, after: Json) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _flat(f"{path}.{key}" if path else key, before.get(key), after.get(key))
    elif not equal(before, after):
        yield path, before, after
