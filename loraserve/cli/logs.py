"""The command `logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.options import AsJson, Profile


def command(
    adapter: Annotated[
        str | None, typer.Option(help="Name of an adapter; without it, all and the base model.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: 90s, 20m, 1h, 2d.")] = "1h",
    slow: Annotated[float, typer.Option(min=0, help="Seconds from which a request is slow.")] = 10,
    every: Annotated[bool, typer.Option("--every", help="Also requests that ended well and fast.")] = False,
    last: Annotated[int, typer.Option(min=1, help="Number of requests that are shown, the newest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, until Ctrl-C.")] = False,
    stage: Annotated[
        str, typer.Option(help="A stage of stages/; `local` is the one of the laptop cloud.")
    ] = "local",
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Show failed and slow requests from the endpoint's log.

    Each line: time (UTC), status and type of the error, or `slow`, adapter and revision, seconds, and the
    seconds that it waited for the adapter's load, in the queue and for the engine. docs/requests.md explains
    the types. --json has all fields, the request's id and tokens among them; the log has no prompts. A name
    that is not published is not in the log: such a request has no adapter.

    With --follow and --json each request is a JSON document on one line.

    Example: loraserve logs --adapter otter --since 1h

    Example: loraserve logs --stage prod --slow 5 --follow
    """
    import json
    from datetime import UTC, datetime, timedelta

    from loraserve.cli.console import errors, output, report_interrupt
    from loraserve.durations import seconds_of
    from loraserve.logs.read_log import follow_log, read_log
    from loraserve.logs.request_table import document, request_line, summary_line
    from loraserve.logs.selection import RequestSelection
    from loraserve.progress import waiting
    from loraserve.stage_access import stage_access

    seconds = seconds_of(since)
    if seconds is None:
        raise typer.BadParameter(f"{since}: write a time such as 90s, 20m, 1h or 2d", param_hint="--since")
    begin = datetime.now(UTC) - timedelta(seconds=seconds)
    selection = RequestSelection(adapter=adapter, slow_seconds=slow, every=every)
    with report_interrupt("nothing was changed"):
        access = stage_access(stage, profile)
        if follow:
            for request in follow_log(access, selection, begin):
                if as_json:
                    typer.echo(json.dumps(request.line))
                else:
                    output().print(request_line(request, selection), highlight=False, soft_wrap=True)
            return
        with waiting(errors, "reading the log …"):
            found = list(read_log(access, selection, begin))
    shown = found[-last:]
    if as_json:
        typer.echo(json.dumps(document(found, shown, selection), indent=1))
        return
    for request in shown:
        output().print(request_line(request, selection), highlight=False, soft_wrap=True)
    if len(shown) < len(found):
        errors.print(f"the last {last} of {len(found)}; --last shows more")
    output().print(summary_line(found, selection, begin), highlight=False, markup=False)
