"""The command `build-images`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson, require_choice


def command(
    engine: Annotated[
        str | None, typer.Option(help="Build this engine's image only.", show_default="all engines")
    ] = None,
    base: Annotated[
        str, typer.Option(help="`lock`: the published image in container/images.lock; or `stand-in`.")
    ] = "lock",
    as_json: AsJson = False,
) -> None:
    """Build the engines' images with docker, podman or buildah.

    The images are for linux/amd64 and stay in the builder's local store; `cdk deploy` builds its own in the
    same way. The same commit and base image give the same layers. The base image is pulled, about 10 GB.
    `--base stand-in` builds from a small Debian with the layout of the base image and without the engine.

    LORASERVE_BUILDER names the builder, instead of the first that works.

    Example: make images ENGINE=vllm

    Example: make images BASE=stand-in, on a machine without access to the registries.
    """
    from adapters.engines.registry import ENGINES
    from loraserve.images.build import Base, build_image, describe, document, table, unpinned
    from loraserve.images.builders import find_builder
    from loraserve.progress import last_line, step

    require_choice("--engine", engine, ENGINES)
    require_choice("--base", base, Base)
    builder = find_builder()
    images = []
    engines = ENGINES if engine is None else (engine,)
    for locked in unpinned(engines, base=Base(base)):
        errors.print(f"[yellow]![/] {locked} is a tag, which may move: run make pin-images")
    with report_interrupt("the builder is stopped; images that were complete are kept"):
        for name in engines:
            with step(errors, f"{name}: build with {builder.name}") as progress:
                show = last_line(progress)
                build_image(name, base=Base(base), builder=builder, on_line=show)
                show("measuring the layers")
                images.append(describe(name, base=Base(base), builder=builder))
    if as_json:
        typer.echo(document(images, builder))
    else:
        output().print(table(images))
