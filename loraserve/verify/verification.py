"""All checks of a verification, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from adapters.errors import AdapterError
from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.check_report import Ending, TableLine
from loraserve.errors import NotDeployed
from loraserve.finding import Finding, State, problem, unknown
from loraserve.verify.adapters import check_adapters
from loraserve.verify.alarms import Watch, check_alarms
from loraserve.verify.answers import Selection, check_answers
from loraserve.verify.capacity import check_capacity
from loraserve.verify.drift import check_drift
from loraserve.verify.expected import Expected
from loraserve.verify.image import check_image
from loraserve.verify.serving import check_config
from loraserve.verify.stacks import check_stacks
from loraserve.verify.traffic import check_metrics
from stacks.config.stage_target import StageTarget

#: Checks without whose answers it is not known whether the stage serves what was deployed.
_REQUIRED = ("stacks", "config", "capacity", "registry", "answers", "alarms")
ENDING = Ending("the stage is not as it was deployed", "the stage is as it was deployed")


@dataclass(frozen=True, kw_only=True)
class VerificationOptions:
    """Extent of a verification."""

    invoke: bool = True
    """Ask the endpoint; False where the credentials may not."""
    sample: int = 5
    """Number of adapters that are asked besides the changed ones."""
    bake_seconds: float = 0.0
    """Time in which no alarm may be raised."""
    since: datetime | None = None
    """Begin of the deployment, UTC; adapters published since then are the changed ones."""
    must_answer: bool = False
    """A check that AWS does not answer is a problem, if the stage cannot be called verified without it."""
    drift_is_problem: bool = False
    """Drift counts as a problem; otherwise it is a warning."""


def verify(
    target: StageTarget,
    client: Client,
    expected: Expected,
    *,
    options: VerificationOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[TableLine]:
    """Check the stage, and yield each line as soon as it is known.

    Nothing is changed; `options.invoke` sends a few requests to the endpoint. `say` gets a line about each
    longer wait. An error of AWS is a finding `unknown` and ends the check that it came from.
    """
    chosen, began = options or VerificationOptions(), datetime.now(UTC)
    selection = Selection(sample=chosen.sample, since=chosen.since)
    watch = Watch(bake_seconds=chosen.bake_seconds, since=chosen.since)
    checks: list[tuple[str, str, Callable[[], Iterable[Finding]]]] = [
        ("Stacks", "stacks", lambda: check_stacks(target, client, expected)),
        ("Endpoint", "config", lambda: check_config(target, client)),
        ("Endpoint", "image", lambda: check_image(target, client, expected)),
        ("Endpoint", "capacity", lambda: check_capacity(target, client, expected)),
        ("Adapters", "registry", lambda: check_adapters(target, client, expected, chosen.since)),
    ]
    if chosen.invoke:
        checks.append(("Answers", "answers", lambda: check_answers(target, client, expected, selection, say)))
    checks += [
        ("Metrics", "alarms", lambda: check_alarms(target, client, expected, watch, say)),
        ("Metrics", "metrics", lambda: check_metrics(target, client, began, chosen.invoke, say)),
        ("Stacks", "drift", lambda: check_drift(target, client, is_problem=chosen.drift_is_problem)),
    ]
    for group, title, check in checks:
        for finding in _answered(title, check):
            is_missed = chosen.must_answer and title in _REQUIRED and finding.state is State.UNKNOWN
            yield TableLine(group, _missed(finding) if is_missed else finding)


def _missed(finding: Finding) -> Finding:
    remedy = "allow it to these credentials, or run this again if AWS failed"
    return problem(finding.check, finding.found, finding.remedy or remedy)


def _answered(title: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except NotDeployed as error:
        yield problem(title, str(error), "deploy the stage")
    except AdapterError as error:
        yield problem(title, f"{error.adapter}: {error.problem}", error.remedy)
    except ClientError as error:
        said = error.response["Error"].get("Message", "")
        yield unknown(title, f"not checked: {error.operation_name} answered {error_code(error)}: {said}")
    except BotoCoreError as error:
        yield unknown(title, f"not checked: {error}")
