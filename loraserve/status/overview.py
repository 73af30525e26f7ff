"""The whole state of a stage, each part asked for at the same time; one that AWS refuses hides no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapters.store.s3 import error_code
from loraserve.errors import NotDeployed, UserError
from loraserve.stacks_deployed import stage_stacks
from loraserve.stage_access import StageAccess
from loraserve.status import questions
from loraserve.status.stage_status import EndpointState, StageStatus
from stacks.config.loading import LOCAL_STAGE
from stacks.config.stage_target import StageTarget


def overview(access: StageAccess) -> StageStatus:
    """Return the state now. An error of AWS is the reason in `not_known` of the part that it came from."""
    known: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    _ask({"endpoint": partial(questions.endpoint, access)}, known, reasons)
    endpoint: EndpointState | None = known.get("endpoint")
    variant = None if endpoint is None else endpoint.variant
    parts: dict[str, Callable[[], Any]] = {
        "stacks": lambda: stage_stacks(access.client("cloudformation"), access.target),
        "adapters": partial(questions.adapters, access, variant),
        "requests": partial(questions.requests, access, variant),
        "alarms": partial(questions.alarms, access),
        "release": partial(questions.release, access),
    }
    _ask(parts, known, reasons)
    stacks = known.pop("stacks", None)
    if endpoint is not None:
        known["cost"] = questions.cost(access, endpoint, stacks or [])
    target = access.target
    return StageStatus(
        stage=target.name,
        account=target.account,
        region=target.region,
        at=datetime.now(UTC),
        stacks=None if stacks is None else _by_name(target, stacks),
        not_known=reasons,
        **known,
    )


def require_stacks(status: StageStatus) -> None:
    """Raise `NotDeployed` for a stage that has no stack."""
    if status.stacks == {}:
        command = "up" if status.stage == LOCAL_STAGE else f"deploy STAGE={status.stage}"
        raise NotDeployed(
            f"stage {status.stage!r} has no stack in {status.region}: deploy it with 'make {command}'"
        )


def _by_name(target: StageTarget, stacks: list[dict[str, Any]]) -> dict[str, str]:
    prefix = target.stack_name("")
    return {stack["StackName"].removeprefix(prefix): stack["StackStatus"] for stack in stacks}


def _ask(parts: Mapping[str, Callable[[], Any]], known: dict[str, Any], reasons: dict[str, str]) -> None:
    """Ask for the parts at the same time; adds each to `known`, or its reason to `reasons`."""
    with ThreadPoolExecutor(len(parts)) as pool:
        asked = {part: pool.submit(question) for part, question in parts.items()}
    for part, future in asked.items():
        try:
            known[part] = future.result()
        except ClientError as error:
            reasons[part] = f"{error.operation_name} answered {error_code(error)}"
        except (BotoCoreError, UserError) as error:
            reasons[part] = str(error)
