"""The command `release build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson


def command(
    folder: Annotated[
        Path | None, typer.Option("--output", help="Folder of the release.", show_default="out/release")
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(help="Folder of an earlier release: review.md has what changes since then, if given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build the release of the last commit.

    It has all stages of a promotion, synthesized once.

    A stage is in the release if `promote_from` connects it with another one. The release is release.tar, the
    cloud assembly of these stages, and release.json, its description with all hashes. Built again from the
    same commit, release.tar has the same bytes. It needs no credentials, Docker or network.

    Refused, all reasons at once: a working tree that differs from its commit, a stage without `account`, an
    image without a digest, and, where a stage of the promotion has `termination_protection`, base images and
    adapters that are not pinned.

    Example: make release

    Example: python -m loraserve release build --output out/new --previous out/release
    """
    from loraserve.progress import waiting
    from loraserve.release.build import build_release
    from loraserve.release.opened import open_release
    from loraserve.release.release import to_json
    from loraserve.release.summary import summary
    from stacks.project import ROOT

    target = folder or ROOT / "out" / "release"
    with report_interrupt(f"{target} has no complete release"), waiting(errors, "building the release …"):
        build_release(target, previous=previous)
        # As it is opened for its promotion: all hashes are checked.
        with open_release(target) as opened:
            parts = list(summary(opened))
    if as_json:
        typer.echo(to_json(opened.release), nl=False)
        return
    for part in parts:
        output().print(part, highlight=False)
