"""The command `down`."""

from __future__ import annotations

from loraserve.cli.console import console


def command() -> None:
    """Stop the laptop cloud of `up`, with everything in it.

    Example: make down
    """
    from loraserve import local_stage

    was_running = local_stage.running() is not None
    local_stage.stop()
    console.print("stopped" if was_running else "no laptop cloud is running here")
