"""The command `pin-images`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson


def command(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if the lock is not up to date.")
    ] = False,
    as_json: AsJson = False,
    lock: Annotated[
        Path | None, typer.Option(help="The lock file.", show_default="container/images.lock")
    ] = None,
) -> None:
    """Lock the digests of the engines' base images.

    A tag can be moved to another image, a digest cannot. container/images.lock has registry, name, tag and
    digest of each base image, and `cdk deploy` builds from these. This command asks each registry for the
    digest of the tag, checks that the manifest has this digest and an image for SageMaker's instances, and
    writes the digest to the lock.

    For another release, edit the tag in the lock and in the engine's Dockerfile, run this command again and
    commit both.

    Example: make pin-images

    Example: make pin-images ARGS=--check, in a nightly job, reports when a tag has been moved.
    """
    from loraserve.images.pin import document, look_up, table, write
    from loraserve.progress import waiting
    from stacks.config.base_images import LOCK, read_lock

    path = lock or LOCK
    with report_interrupt(f"{path} is as it was"):
        images = read_lock(path)
        with waiting(errors, "asking the registries …"):
            pins = [look_up(engine, image) for engine, image in images.items()]
        is_current = all(pin.change == "none" for pin in pins)
        if not (check or is_current):
            write(pins, path)
        if as_json:
            typer.echo(document(pins, path))
        else:
            output().print(table(pins))
        if check and not is_current:
            errors.print(f"[red]✗[/] {path} is not what the registries say: run make pin-images")
            raise typer.Exit(1)
        if not as_json:
            errors.print(
                "[green]✓[/] " + (f"{path} is up to date" if is_current else f"{path} is written: commit it")
            )
