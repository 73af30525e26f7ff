"""The summary of a release, for the person or the pipeline that built it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from loraserve.release.build import REVIEW_MARKDOWN
from loraserve.release.opened import OpenedRelease
from loraserve.release.release import ImageRelease

#: Digits of a hash in the table.
_SHORT = 12


def summary(opened: OpenedRelease) -> Iterator[RenderableType]:
    """Yield a table of the stages, the warnings of the synth, and the archive with its hash."""
    release = opened.release
    shown = Table(box=None, pad_edge=False)
    for title in ("stage", "after", "account", "region", "stacks", "adapters", "image"):
        shown.add_column(title, overflow="fold")
    for stage in release.stages.values():
        adapters = sum(len(each.names) for each in opened.facts(stage.name).adapters)
        shown.add_row(
            stage.name,
            stage.promote_from or "–",
            stage.account,
            stage.region,
            str(len(stage.stacks)),
            str(adapters),
            _image(stage.image),
        )
    yield shown
    for line in dict.fromkeys(_base(stage.image) for stage in release.stages.values() if stage.image.asset):
        yield Text(line)
    for stage in release.stages.values():
        for warning in stage.warnings:
            yield Text(f"! {stage.name}: {warning}", style="yellow")
    yield Text(f"release {release.release}, of the commit {release.commit}")
    size = opened.archive.stat().st_size / 10**6
    yield Text(f"{opened.archive}, {size:.1f} MB, SHA-256 {release.tar_sha256}")
    review = opened.folder / REVIEW_MARKDOWN
    if review.exists():
        yield Text(f"{review}: the changes since the earlier release")


def _image(image: ImageRelease) -> str:
    """Return the image's reference, or the hash of what it is built from."""
    return image.uri if image.uri is not None else (image.asset or "")[:_SHORT]


def _base(image: ImageRelease) -> str:
    """Return the line about what an image is built from."""
    base = f"{image.base}, not pinned" if image.base_digest is None else f"{image.base}@{image.base_digest}"
    return f"image {_image(image)} is built from {base}"
