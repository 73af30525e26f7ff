"""Options and arguments of the `adapters` commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from loraserve.adapters.stage_store import StageStore

Name = Annotated[str, typer.Argument(help="The adapter's name.", show_default=False)]
Source = Annotated[
    str,
    typer.Argument(
        metavar="PATH_OR_SOURCE",
        help="A directory, hf://org/repo@commit, hf://org/repo/folder@commit or s3://bucket/prefix/.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class StoreOptions:
    """The options of the group: the stage, and a bucket other than its own."""

    stage: str
    bucket: str | None


def store_options(
    context: typer.Context,
    stage: Annotated[
        str, typer.Option(help="A file of stages/, or the path of another stage file.")
    ] = "local",
    bucket: Annotated[
        str | None, typer.Option(help="The store's bucket, instead of the one in the stage's stack.")
    ] = None,
) -> None:
    """Keep the group's options for the command."""
    context.obj = StoreOptions(stage, bucket)


def open_store(context: typer.Context) -> StageStore:
    """Open the store that the group's options name; raises `ConfigError` or `NotDeployed`."""
    from loraserve.adapters import open_store as stores

    options: StoreOptions = context.obj
    return stores.open_store(options.stage, options.bucket)
