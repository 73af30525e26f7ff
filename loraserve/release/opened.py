"""A release that is opened for use: its archive is unpacked, and each hash of `release.json` is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loraserve.release.archive import sha256, unpack
from loraserve.release.description import describe
from loraserve.release.ledger import Ledger
from loraserve.release.release import (
    ARCHIVE_FILE,
    RELEASE_FILE,
    Release,
    ReleaseError,
    StageRelease,
    read_release,
)
from loraserve.review.assembly import read_assembly
from stacks.facts import StageFacts


@dataclass(frozen=True, kw_only=True)
class OpenedRelease:
    """A checked release; its files exist within the block of `open_release`."""

    release: Release
    folder: Path
    """Folder with `release.tar` and `release.json`."""
    assembly: Path
    """The unpacked cloud assembly of all its stages, e.g. for `cdk deploy --app`."""

    @property
    def archive(self) -> Path:
        """The file `release.tar`."""
        return self.folder / ARCHIVE_FILE

    @property
    def document(self) -> Path:
        """The file `release.json`."""
        return self.folder / RELEASE_FILE

    def stage(self, name: str) -> StageRelease:
        """Return a stage; raises `ReleaseError` if the release does not have it."""
        return self.release.stage(name)

    def stage_assembly(self, name: str) -> Path:
        """Return the folder of a stage's assembly inside `assembly`, which names its assets `../asset.…`."""
        return (self.assembly / self.stage(name).stacks[0].template).parent

    def templates(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Return a stage's templates by the stack's name within it, in the order of deployment."""
        return {
            stack.name: json.loads((self.assembly / stack.template).read_text())
            for stack in self.stage(name).stacks
        }

    def facts(self, name: str) -> StageFacts:
        """Return the facts of a stage."""
        facts = read_assembly(self.assembly).stages[self.stage(name).target.id].facts
        assert facts is not None  # noqa: S101 — `describe` refuses an assembly without
        return facts


@contextmanager
def open_release(path: Path) -> Iterator[OpenedRelease]:
    """Open the release in a folder, or the one of a file `release.tar`; raises `ReleaseError`.

    Before anything is unpacked, the archive must have its hash of `release.json`. The unpacked assembly must
    then be what `release.json` says: templates, artifacts, accounts, images, adapters.
    """
    folder = path.parent if path.name in (ARCHIVE_FILE, RELEASE_FILE) else path
    release = read_release(folder / RELEASE_FILE)
    found = sha256(folder / ARCHIVE_FILE)
    if found != release.tar_sha256:
        raise ReleaseError(
            f"{folder / ARCHIVE_FILE} has the SHA-256 {found}, and {RELEASE_FILE} says {release.tar_sha256}: "
            "it is damaged, or of another release; fetch both files again from where they were built"
        )
    with TemporaryDirectory(prefix="lora-serving-release-") as name:
        assembly = Path(name) / "assembly"
        unpack(folder / ARCHIVE_FILE, assembly)
        _check(release, describe(assembly), folder)
        yield OpenedRelease(release=release, folder=folder, assembly=assembly)


@contextmanager
def open_stored_release(ledger: Ledger, release: str) -> Iterator[OpenedRelease]:
    """Open the release of an id from a stage's bucket; raises `ReleaseError`."""
    with (
        TemporaryDirectory(prefix="lora-serving-stored-") as folder,
        open_release(ledger.download(release, Path(folder))) as opened,
    ):
        yield opened


def _check(release: Release, found: Mapping[str, StageRelease], folder: Path) -> None:
    """Compare the stages of `release.json` with those of its assembly."""
    # A field that a later version added is not in the file of an earlier one.
    said = {name: stage.model_dump(mode="json", exclude_unset=True) for name, stage in release.stages.items()}
    real = {name: stage.model_dump(mode="json") for name, stage in found.items()}
    for place in [*(said.keys() ^ real.keys()), *_differences("", said, real)]:
        raise ReleaseError(
            f"{folder}: {RELEASE_FILE} does not describe {ARCHIVE_FILE}: stages.{place} differs; fetch both "
            "files again from where they were built"
        )


def _differences(path: str, said: Any, real: Any) -> Iterator[str]:
    """Yield the places where something differs that is said."""
    if isinstance(said, dict) and isinstance(real, dict):
        for key, value in said.items():
            yield from _differences(f"{path}.{key}" if path else key, value, real.get(key))
    elif isinstance(said, list) and isinstance(real, list) and len(said) == len(real):
        for number, (one, other) in enumerate(zip(said, real, strict=True)):
            yield from _differences(f"{path}.{number}", one, other)
    elif said != real:
        yield path
