"""All checks of a verification, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from botocore.exceptions import BotoCoreError, ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.check_report import Ending, TableLine
from loraserve.finding import Finding, unknown
from loraserve.verify.capacity import check_capacity
from loraserve.verify.expected import Expected
from loraserve.verify.image import check_image
from loraserve.verify.serving import check_config
from loraserve.verify.stacks import check_stacks
from stacks.config.stage_target import StageTarget

ENDING = Ending("the stage is not as it was deployed", "the stage is as it was deployed")


def verify(target: StageTarget, client: Client, expected: Expected) -> Iterator[TableLine]:
    """Check the stage, and yield each line as soon as it is known.

    Nothing is changed. An error of AWS is a finding `unknown` and ends the check that it came from.
    """
    checks: list[tuple[str, str, Callable[[], Iterable[Finding]]]] = [
        ("Stacks", "stacks", lambda: check_stacks(target, client, expected)),
        ("Endpoint", "config", lambda: check_config(target, client)),
        ("Endpoint", "image", lambda: check_image(target, client, expected)),
        ("Endpoint", "capacity", lambda: check_capacity(target, client, expected)),
    ]
    for group, title, check in checks:
        for finding in _answered(title, check):
            yield TableLine(group, finding)


def _answered(title: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except ClientError as error:
        said = error.response["Error"].get("Message", "")
        yield unknown(title, f"not checked: {error.operation_name} answered {error_code(error)}: {said}")
    except BotoCoreError as error:
        yield unknown(title, f"not checked: {error}")
