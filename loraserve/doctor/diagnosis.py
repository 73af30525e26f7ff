"""A check as an entry of the catalog, and its findings: an error of AWS is a finding, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.finding import Finding, problem, unknown
from stacks.config.stage_config import LoadedStage

#: A check: yields its findings. It reads only, and may raise boto3's errors.
Check = Callable[[LoadedStage, Client], Iterable[Finding]]


class Entry(NamedTuple):
    """A check and its place in the table."""

    group: str
    """Heading of the table's part, e.g. `Account`."""
    title: str
    """Subject of the check: the name of the finding where AWS refuses the check's requests."""
    check: Check
    needs_account: bool = True
    """If true, the check runs only with credentials of the stage's account."""


def findings(entry: Entry, stage: LoadedStage, client: Client) -> list[Finding]:
    """Run a check of the catalog."""
    return list(answered(entry.title, lambda: entry.check(stage, client)))


def answered(
    title: str, check: Callable[[], Iterable[Finding]], *, required: bool = False
) -> Iterator[Finding]:
    """Yield a check's findings. One of boto3's errors ends it with an `unknown` finding of this title.

    Of a check that is `required` it is a problem: what could not be asked may be wrong.
    """
    try:
        yield from check()
        return
    except ClientError as error:
        code, said = error_code(error), error.response["Error"].get("Message", "")
        found = f"not checked: {error.operation_name} answered {code}: {said}"
    except BotoCoreError as error:
        found = f"not checked: {error}"
    if required:
        yield problem(title, found, "allow it to these credentials, or run this again if AWS failed")
    else:
        yield unknown(title, found)
