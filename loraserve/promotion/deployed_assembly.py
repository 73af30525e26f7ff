"""The deployed stacks as a cloud assembly, the base of a review.

If the stage's templates in CloudFormation are those of the release in its current record, the base is that
release from the stage's bucket, with facts and assets. Otherwise, e.g. after a deployment by hand, it is an
assembly made of CloudFormation's templates: then the review knows the resources, but no facts and no content
of assets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loraserve.aws import Client
from loraserve.release.ledger import Ledger
from loraserve.release.opened import OpenedRelease, open_stored_release
from loraserve.release.record import DeploymentRecord
from loraserve.release.release import ReleaseError, as_returned, template_sha256
from loraserve.review.assembly import Stage
from loraserve.review.difference import Json
from loraserve.review.sides import Side
from loraserve.stacks_deployed import deployed_template, stage_stacks
from stacks.config.stage_target import StageTarget

#: States of a stack without resources: before its first update, or after a failed one.
_EMPTY = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")


@dataclass(frozen=True, kw_only=True)
class DeployedStack:
    """A stack as CloudFormation has it."""

    name: str
    """Name within the stage, e.g. `Serving`."""
    template: Mapping[str, Any]
    termination_protection: bool
    tags: Mapping[str, str]


def deployed_stacks(target: StageTarget, client: Client) -> list[DeployedStack]:
    """Read the stacks of a stage that have resources; raises boto3's errors."""
    cloudformation = client("cloudformation")
    return [
        DeployedStack(
            name=stack["StackName"].removeprefix(target.stack_name("")),
            template=deployed_template(cloudformation, stack["StackName"]),
            termination_protection=bool(stack.get("EnableTerminationProtection")),
            tags={tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])},
        )
        for stack in stage_stacks(cloudformation, target)
        if stack["StackStatus"] not in _EMPTY
    ]


def templates_sha256(stacks: Sequence[DeployedStack]) -> dict[str, str]:
    """Return the hash of each stack's template, as records have them."""
    return {stack.name: template_sha256(stack.template) for stack in stacks}


def has_templates_of(record: DeploymentRecord, deployed: Mapping[str, str]) -> bool:
    """Return whether a record's stacks are deployed still; others, e.g. left ones, may be beside them."""
    return all(deployed.get(name) == template for name, template in record.templates.items())


@contextmanager
def deployed_side(
    target: StageTarget,
    stacks: Sequence[DeployedStack],
    ledger: Ledger | None,
    *,
    release: Stage,
) -> Iterator[Side]:
    """Make the base of a review of `release`; its files exist within the block."""
    current = None if ledger is None else ledger.current()
    with TemporaryDirectory(prefix="lora-serving-deployed-") as name, ExitStack() as opening:
        opened = _stored(ledger, current, stacks, opening)
        commit = "" if current is None else current.commit
        if opened is not None:
            yield Side(
                name=f"release {opened.release.release}, deployed",
                commit=commit,
                assembly=opened.assembly,
                only=target.id,
            )
            return
        assembly = Path(name) / "assembly"
        write_assembly(assembly, target, stacks, release)
        yield Side(name="deployed stacks", commit=commit, assembly=assembly, only=target.id)


def write_assembly(
    folder: Path,
    target: StageTarget,
    stacks: Sequence[DeployedStack],
    release: Stage,
) -> None:
    """Write a cloud assembly of a stage's deployed stacks; without stacks it has no stage.

    Its form is that of cloud-assembly-schema, in the part that `read_assembly` reads. What CloudFormation
    does not return is taken from the `release`: the order of the stacks, and characters beyond ASCII.
    """
    nested = f"assembly-{target.id}"
    (folder / nested).mkdir(parents=True)
    artifacts: dict[str, Any] = {}
    for stack in stacks:
        stack_name, file = target.stack_name(stack.name), f"{stack.name}.template.json"
        known = release.stacks.get(stack.name)
        template = stack.template if known is None else with_characters(stack.template, known.template)
        (folder / nested / file).write_text(json.dumps(template))
        artifacts[stack_name] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{target.account}/{target.region}",
            "displayName": f"{target.id}/{stack.name}",
            "dependencies": [target.stack_name(each) for each in (known.dependencies if known else ())],
            "properties": {
                "templateFile": file,
                "stackName": stack_name,
                "terminationProtection": stack.termination_protection,
                "tags": dict(stack.tags),
            },
        }
    _write_manifest(folder / nested, artifacts)
    stage = {
        "type": "cdk:cloud-assembly",
        "displayName": target.id,
        "properties": {"directoryName": nested},
    }
    _write_manifest(folder, {nested: stage} if stacks else {})


def with_characters(returned: Json, released: Json) -> Json:
    """Put the characters back that GetTemplate returns as `?`, where the release has the same text."""
    if isinstance(returned, dict) and isinstance(released, dict):
        return {key: with_characters(value, released.get(key)) for key, value in returned.items()}
    if isinstance(returned, list) and isinstance(released, list) and len(returned) == len(released):
        return [with_characters(one, other) for one, other in zip(returned, released, strict=True)]
    if isinstance(returned, str) and isinstance(released, str):
        return released if returned == as_returned(released) else returned
    return returned


def _write_manifest(folder: Path, artifacts: Mapping[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"version": "0.0.0", "artifacts": artifacts}))


def _stored(
    ledger: Ledger | None,
    current: DeploymentRecord | None,
    stacks: Sequence[DeployedStack],
    opening: ExitStack,
) -> OpenedRelease | None:
    """Open the current record's release; None if it is not what CloudFormation has, or cannot be had."""
    if ledger is None or current is None or current.release is None:
        return None
    if dict(current.templates) != templates_sha256(stacks):
        return None
    try:
        return opening.enter_context(open_stored_release(ledger, current.release))
    except ReleaseError:
        return None
