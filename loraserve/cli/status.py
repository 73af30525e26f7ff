"""The command `status`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.options import AsJson, Profile


def command(
    stage: Annotated[
        str, typer.Option(help="A stage of stages/; `local` is the one of the laptop cloud.")
    ] = "local",
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks of --watch.")] = 10,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Show what is deployed in a stage, what serves, and what it costs.

    One screen: stacks, endpoint, instances, adapters published and resident, requests of the last hour,
    alarms, the release that serves, and the instances' cost per hour. Nothing is changed. ✓: as it should
    be. !: under way or unusual. ✗: wrong. –: not known, e.g. because the credentials may not ask.

    With --watch and --json each look is a JSON document on one line.

    Example: loraserve status

    Example: loraserve status --stage prod --watch --every 30

    Example: loraserve status --stage dev --json
    """
    import json
    import time
    from contextlib import nullcontext

    from rich.console import Group
    from rich.live import Live

    from loraserve.check_report import print_table
    from loraserve.cli.console import errors, output, report_interrupt
    from loraserve.progress import waiting
    from loraserve.stage_access import stage_access
    from loraserve.status.overview import overview, require_stacks
    from loraserve.status.screen import screen

    with report_interrupt("nothing was changed"):
        access = stage_access(stage, profile)
        with waiting(errors, f"asking for {stage} …"):
            status = overview(access)
        if not watch:
            require_stacks(status)
            if as_json:
                typer.echo(json.dumps(status.to_document(), indent=1))
            else:
                print_table(output(), screen(status))
            return
        on_terminal = output().is_terminal and not as_json
        with Live(console=output(), auto_refresh=False) if on_terminal else nullcontext() as live:
            while True:
                if as_json:
                    typer.echo(json.dumps(status.to_document()))
                elif live is None:
                    print_table(output(), screen(status))
                else:
                    live.update(Group(screen(status), "Ctrl-C ends it."), refresh=True)
                time.sleep(every)
                status = overview(access)
