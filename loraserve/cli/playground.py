"""The command `playground`."""

from __future__ import annotations

from typing import Annotated

import typer

from loraserve.cli.options import Profile


def command(
    endpoint: Annotated[
        str, typer.Option(help="A stage of stages/, `local` for the laptop cloud, or an endpoint's name.")
    ] = "local",
    bucket: Annotated[
        str | None, typer.Option(help="Adapter bucket of an endpoint that is not a stage's, for the list.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region of an endpoint that is not a stage's.")] = None,
    profile: Profile = None,
    port: Annotated[int | None, typer.Option(help="Port of the page; by default a free one.")] = None,
) -> None:
    """Compare adapters side by side, on a page of this machine.

    The page listens on 127.0.0.1 only and asks the endpoint with your credentials; prompts and answers are
    kept nowhere unless you download them. The first call installs Gradio (about 375 MB) into a separate
    environment. Ctrl-C ends it.

    Example: make playground, after make up

    Example: make playground ENDPOINT=dev
    """
    from loraserve.cli.console import console, report_interrupt, say
    from loraserve.playground.process import page_process
    from loraserve.playground.target import find_target
    from loraserve.setup.errors import SetupError
    from loraserve.setup.isolated import PLAYGROUND

    settings, environment = find_target(endpoint, bucket=bucket, region=region, profile=profile, port=port)
    try:
        PLAYGROUND.ensure()
    except SetupError as error:
        say(str(error))
        raise typer.Exit(1) from error
    with (
        report_interrupt("the page is closed; the endpoint is as it was"),
        page_process(PLAYGROUND.folder / "bin" / "python", settings, environment) as page,
    ):
        console.print(f"http://127.0.0.1:{settings.port}", highlight=False)
        say(f"compares adapters of the endpoint {settings.endpoint}, for this machine only; Ctrl-C ends it")
        code = page.wait()
    raise typer.Exit(code)
