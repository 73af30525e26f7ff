"""Drift: resources that were changed beside CloudFormation.

The operations of CloudFormation that `cdk drift` calls, without the command: it would need the assembly of
the stage's commit, and prints text only. They do not see every type: not Model, EndpointConfig and
ScalingPolicy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, unknown, warning
from loraserve.stacks_deployed import stage_stacks
from stacks.config.stage_target import StageTarget

#: Seconds between two looks, and until a detection must be complete.
LOOK_SECONDS, DETECTION_SECONDS = 3.0, 600.0
#: States from which drift is detected (CloudFormation User Guide, "Detect drift on an entire stack").
_DETECTABLE = (
    "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED",
    "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE",
)  # fmt: skip


def check_drift(target: StageTarget, client: Client, *, is_problem: bool) -> Iterator[Finding]:
    """Detect the drift of each stack; a drifted resource is a problem or a warning."""
    cloudformation = client("cloudformation")
    stacks = [
        stack["StackName"]
        for stack in stage_stacks(cloudformation, target)
        if stack["StackStatus"] in _DETECTABLE
    ]
    begun = {
        name: cloudformation.detect_stack_drift(StackName=name)["StackDriftDetectionId"] for name in stacks
    }
    drifted = False
    for name, detection in begun.items():
        status = _ended(cloudformation, detection)
        if status["DetectionStatus"] != "DETECTION_COMPLETE":
            yield unknown("drift", f"{name}: {status.get('DetectionStatusReason', 'detection did not end')}")
        elif status.get("StackDriftStatus") == "DRIFTED":
            drifted = True
            for resource in _drifted(cloudformation, name):
                text = f"{name}: {resource}"
                remedy = "put it back, or bring the change into the stage file and deploy it"
                yield (problem if is_problem else warning)("drift", text, remedy)
    if not drifted:
        yield ok("drift", f"none in {len(stacks)} stacks, of the types that CloudFormation looks at")


def _ended(cloudformation: Any, detection: str) -> dict[str, Any]:
    until = time.monotonic() + DETECTION_SECONDS
    while True:
        status: dict[str, Any] = cloudformation.describe_stack_drift_detection_status(
            StackDriftDetectionId=detection
        )
        if status["DetectionStatus"] != "DETECTION_IN_PROGRESS" or time.monotonic() > until:
            return status
        time.sleep(LOOK_SECONDS)


def _drifted(cloudformation: Any, stack: str) -> Iterator[str]:
    """Write each resource that was changed or deleted, with the paths of the changed properties."""
    more: dict[str, str] = {}
    while True:
        page = cloudformation.describe_stack_resource_drifts(
            StackName=stack, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"], **more
        )
        for found in page["StackResourceDrifts"]:
            text = f"{found['LogicalResourceId']} ({found['ResourceType']}) is "
            text += found["StackResourceDriftStatus"].lower()
            paths = [difference["PropertyPath"] for difference in found.get("PropertyDifferences", [])]
            yield text + (f": {', '.join(paths)}" if paths else "")
        if "NextToken" not in page:
            return
        more = {"NextToken": page["NextToken"]}
