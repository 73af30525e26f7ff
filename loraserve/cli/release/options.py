"""Arguments of the `release` commands, and the ledger of the stage that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from loraserve.release.ledger import Ledger

Stage = Annotated[str, typer.Argument(help="A stage of stages/, e.g. prod.", show_default=False)]


def open_ledger(stage: str, profile: str | None) -> Ledger:
    """Open the ledger of a deployed stage; raises `ConfigError` or `NotDeployed`."""
    from loraserve.adapters.open_store import open_store
    from loraserve.release.ledger import Ledger

    store = open_store(stage, None, profile, profile_option="--profile")
    return Ledger(store.s3, store.bucket, store.stage.name)
