"""The stage's stacks: complete, with the templates and the protection that were deployed, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, warning
from loraserve.release.release import template_sha256
from loraserve.stacks_deployed import deployed_template, stage_stacks
from loraserve.verify.expected import Expected, ExpectedStack
from stacks.config.stage_target import StageTarget


def check_stacks(
    target: StageTarget, client: Client, expected: Expected, *, just_failed: bool = False
) -> Iterator[Finding]:
    """Compare each stack with the expected one, and list those beyond.

    `just_failed`: a deployment has failed just now, and a stack that was rolled back is as it should be.
    """
    cloudformation = client("cloudformation")
    deployed = {stack["StackName"]: stack for stack in stage_stacks(cloudformation, target)}
    for name, stack in expected.stacks.items():
        stack_name = target.stack_name(name)
        found = deployed.pop(stack_name, None)
        if found is None:
            yield problem(f"stack {name}", f"{stack_name} does not exist", _deploy_again(target, expected))
        else:
            yield _compared(target, name, found, stack, expected, cloudformation, just_failed=just_failed)
    for stack_name in sorted(deployed):
        yield problem(
            "stacks",
            f"{stack_name} is not of {expected.title}: left from an earlier one",
            f"delete it: `aws cloudformation delete-stack --stack-name {stack_name} "
            f"--region {target.region}`",
        )


def _compared(
    target: StageTarget,
    name: str,
    found: dict[str, Any],
    stack: ExpectedStack,
    expected: Expected,
    cloudformation: Any,
    *,
    just_failed: bool,
) -> Finding:
    check, status = f"stack {name}", found["StackStatus"]
    text = f"{found['StackName']} is {status}"
    if reason := found.get("StackStatusReason"):
        text += f": {reason}"
    if not status.endswith("_COMPLETE") or status == "ROLLBACK_COMPLETE":  # the latter has no resources
        return problem(check, text, f"`make doctor STAGE={target.name}` has the remedy for each status")
    template = deployed_template(cloudformation, found["StackName"])
    if template_sha256(template) != template_sha256(stack.template):
        return problem(
            check, f"{text}; its template is not that of {expected.title}", _deploy_again(target, expected)
        )
    protection = bool(found.get("EnableTerminationProtection"))
    if stack.termination_protection not in (None, protection):
        return problem(
            check,
            f"{text}; termination protection is {'on' if protection else 'off'}",
            _deploy_again(target, expected),
        )
    if "ROLLBACK" in status:
        if expected.release is None and not just_failed:
            return problem(check, f"{text}: its last deployment failed", _deploy_again(target, expected))
        return warning(check, f"{text}: a later deployment failed; it has the template of {expected.title}")
    return ok(check, text)


def _deploy_again(target: StageTarget, expected: Expected) -> str:
    if expected.release is None:
        return f"deploy the stage again: `make deploy STAGE={target.name}`"
    return f"promote the release again: `make promote STAGE={target.name} RELEASE=…` ({expected.release})"
