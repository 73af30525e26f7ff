"""The command `doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from loraserve.cli.console import errors, output, report_interrupt
from loraserve.cli.options import AsJson, Profile


def command(
    stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")],
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Check everything that can stop a deployment of a stage.

    Nothing is changed. ✓: as the deployment needs it. ✗: it would stop the deployment; the line has the
    remedy. –: not checked, e.g. because the credentials may not ask. The exit code is 1 if a line has ✗.
    docs/doctor.md lists the checks and the permissions for them.

    Example: make doctor STAGE=dev

    Example: python -m loraserve doctor prod --profile production --json
    """
    from functools import cache
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from loraserve.aws import client_factory
    from loraserve.check_report import counts, document, report, watched
    from loraserve.doctor.examination import examine
    from loraserve.doctor.requests import PATIENCE
    from loraserve.errors import LocalStage
    from loraserve.finding import State
    from stacks.config.loading import LOCAL_STAGE, load_stages
    from stacks.project import ROOT

    if stage == LOCAL_STAGE:
        raise LocalStage("the local stage needs no account, quota or Docker: `make up` deploys it")
    [loaded] = load_stages(ROOT / "stages", stage)
    # Created by the first check, so that a profile that does not exist is a finding.
    factory = cache(lambda: client_factory(loaded.config.region, profile, PATIENCE))

    def client(service: str) -> Any:
        return factory()(service)

    with report_interrupt("nothing was changed"), TemporaryDirectory(prefix="doctor-") as folder:
        lines = examine(loaded, client, Path(folder) / "cdk.out")
        if as_json:
            known = list(watched(errors, lines))
            typer.echo(document(stage, known))
            problems = counts(known)[State.PROBLEM]
        else:
            problems = report(output(), lines, progress=errors)
    if problems:
        raise typer.Exit(1)
