"""The command `verify`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt, say
from loraserve.cli.options import AsJson, Profile


def command(
    stage: Annotated[str, typer.Argument(help="A stage of stages/, or of the release, e.g. prod.")],
    release: Annotated[
        Path | None, typer.Option(help="Folder of a release that should serve; by default the record says.")
    ] = None,
    no_invoke: Annotated[bool, typer.Option("--no-invoke", help="Send no request to the endpoint.")] = False,
    sample: Annotated[int, typer.Option(min=0, help="Number of adapters to ask.")] = 5,
    bake: Annotated[
        float, typer.Option(min=0, help="Seconds in which no alarm may be raised; 0: look once.")
    ] = 0,
    drift: Annotated[
        bool, typer.Option("--drift", help="Drift is a problem; by default it is a warning.")
    ] = False,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Check that a stage serves what was deployed.

    Nothing is changed; a few requests are sent to the endpoint. Stacks, the config that serves, image,
    capacity, adapters, answers, alarms, metrics and drift are compared with the release that the stage's
    record names; after a deployment by hand, with the deployed stacks.

    ✓: as deployed. ✗: not; the line has the remedy. –: not checked, e.g. because the credentials may not ask.
    The exit code is 1 if a line has ✗.

    Example: make verify STAGE=dev

    Example: python -m loraserve verify prod --release out/release --bake 600 --json
    """
    from loraserve.adapters.open_store import check_account
    from loraserve.aws import client_factory
    from loraserve.check_report import counts, document, report, watched
    from loraserve.errors import LocalStage
    from loraserve.finding import State
    from loraserve.release.opened import open_release
    from loraserve.verify.expected import expected_of_release
    from loraserve.verify.recorded import expected_of_record
    from loraserve.verify.serving import SILENT_ROLLBACK, SILENT_ROLLBACK_SENTENCE
    from loraserve.verify.verification import ENDING, VerificationOptions, verify
    from stacks.config.loading import LOCAL_STAGE, load_stages
    from stacks.project import ROOT

    if stage == LOCAL_STAGE:
        raise LocalStage("the local stage is in no account: `make demo` checks it")
    options = VerificationOptions(
        invoke=not no_invoke, sample=sample, bake_seconds=bake, drift_is_problem=drift
    )
    with report_interrupt("nothing was changed"), ExitStack() as stack:
        opened = None if release is None else stack.enter_context(open_release(release))
        if opened is None:
            target = load_stages(ROOT / "stages", stage)[0].target
        else:
            target = opened.stage(stage).target
        client = client_factory(target.region, profile)
        check_account(client, target, "--profile")
        expected = (
            expected_of_record(target, client, say) if opened is None else expected_of_release(opened, stage)
        )
        lines = verify(target, client, expected, options=options, say=say)
        known = list(watched(errors, lines))
    if as_json:
        typer.echo(document(stage, known))
    else:
        report(output(), known, ending=ENDING, progress=errors)
    if any(line.finding.check == SILENT_ROLLBACK for line in known):
        errors.print(f"[red]✗[/] {SILENT_ROLLBACK_SENTENCE}")
    if counts(known)[State.PROBLEM]:
        raise typer.Exit(1)
