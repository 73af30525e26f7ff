"""Run of all checks, several at a time; an answer that AWS refuses is a finding, not an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from loraserve.aws import Client
from loraserve.doctor.finding import Finding, unknown
from stacks.config.stage_config import LoadedStage

#: A check: yields its findings. It reads only, and may raise boto3's errors.
Check = Callable[[LoadedStage, Client], Iterable[Finding]]

_THREADS = 8


def diagnose(stage: LoadedStage, client: Client, checks: Sequence[tuple[str, Check]]) -> Iterator[Finding]:
    """Run the checks and yield their findings in the order of `checks`, each as soon as it is known.

    `checks` are pairs of a title and a function. A check that raises one of boto3's errors becomes an
    `unknown` finding with that title.
    """

    def run(pair: tuple[str, Check]) -> list[Finding]:
        title, check = pair
        found: list[Finding] = []
        try:
            for finding in check(stage, client):
                found.append(finding)
        except (BotoCoreError, ClientError) as error:
            found.append(unknown(title, f"not checked: {error}"))
        return found

    with ThreadPoolExecutor(_THREADS) as pool:
        for findings in pool.map(run, checks):
            yield from findings
