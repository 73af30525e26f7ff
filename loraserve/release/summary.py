"""The summary of a release, for the person or the pipeline that built it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from loraserve.release.build import REVIEW_MARKDOWN
from loraserve.release.release import ARCHIVE_FILE, ImageRelease, Release

#: Digits of a hash in a table.
_SHORT = 12


def summary(release: Release, folder: Path) -> Iterator[RenderableType]:
    """Yield a table of the stages, the warnings of the synth, and the archive with its hash."""
    shown = Table(box=None, pad_edge=False)
    for title in ("stage", "promoted from", "account", "region", "image", "stacks", "assets"):
        shown.add_column(title, overflow="fold")
    for stage in release.stages.values():
        shown.add_row(
            stage.name,
            stage.promote_from or "–",
            stage.account,
            stage.region,
            _image(stage.image),
            str(len(stage.stacks)),
            str(len(stage.assets)),
        )
    yield shown
    for stage in release.stages.values():
        for warning in stage.warnings:
            yield Text(f"! {stage.name}: {warning}", style="yellow")
    archive = folder / ARCHIVE_FILE
    yield Text(f"release {release.release} of commit {release.commit}")
    yield Text(f"{archive} {archive.stat().st_size / 1e6:.1f} MB, SHA-256 {release.tar_sha256}")
    if (folder / REVIEW_MARKDOWN).exists():
        yield Text(f"{folder / REVIEW_MARKDOWN} has what changes since the previous release")


def _image(image: ImageRelease) -> str:
    """Return what identifies the image: its digest, or the hash of its content and its base's digest."""
    if image.uri is not None:
        return image.uri
    base = image.base_digest or f"{image.base}, not pinned"
    return f"built, {(image.asset or '')[:_SHORT]}; base {base[: _SHORT + len('sha256:')] if image.base_digest else base}"
