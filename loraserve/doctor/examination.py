"""All checks of a stage, several at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from loraserve.aws import Client
from loraserve.cdk import CdkError
from loraserve.check_report import TableLine
from loraserve.doctor.catalog import CREDENTIALS, catalog
from loraserve.doctor.deployment import Deployment, synthesize
from loraserve.doctor.diagnosis import Entry, findings
from loraserve.finding import Finding, State, ok, problem, unknown
from stacks.config.stage_config import LoadedStage

_THREADS = 12


def examine(stage: LoadedStage, client: Client, assembly: Path) -> Iterator[TableLine]:
    """Run every check and yield its lines in the catalog's order, each as soon as those before it are known.

    Nothing is changed, in AWS or on this machine, but for the folder `assembly`, which gets the stage's cloud
    assembly. Without usable credentials of the stage's account, the checks that need them yield `unknown`.
    """
    pool = ThreadPoolExecutor(_THREADS)
    try:
        whose = findings(CREDENTIALS, stage, client)
        yield from _lines(CREDENTIALS, whose)
        usable = all(finding.state is State.OK for finding in whose)
        # On this thread: Ctrl-C then ends the CDK CLI's processes.
        deployment, outcome = _synthesized(stage, assembly)
        yield TableLine("CDK", outcome)
        begun: list[tuple[Entry, Future[list[Finding]] | None]] = [
            (
                entry,
                pool.submit(findings, entry, stage, client) if usable or not entry.needs_account else None,
            )
            for entry in catalog(deployment)
        ]
        for entry, future in begun:
            missing = unknown(entry.title, "not checked: no usable credentials of the stage's account")
            yield from _lines(entry, [missing] if future is None else future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def _lines(entry: Entry, found: list[Finding]) -> Iterator[TableLine]:
    return (TableLine(entry.group, finding) for finding in found)


def _synthesized(stage: LoadedStage, assembly: Path) -> tuple[Deployment | None, Finding]:
    try:
        deployment = synthesize(stage.name, assembly)
    except CdkError as error:
        return None, problem("synth", str(error), f"correct stages/{stage.name}.yaml; make synth shows it")
    return deployment, ok("synth", f"{len(deployment.stacks)} stacks")
