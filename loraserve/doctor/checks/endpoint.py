"""The stage's endpoint, if it exists: in a status from which it can be updated, with no alarm against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from loraserve.aws import Client
from loraserve.doctor.deployment import Deployment
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_target import StageTarget

#: An operation is in progress, and SageMaker refuses another one (DescribeEndpoint, `EndpointStatus`).
_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def has_status(deployment: Deployment, target: StageTarget, client: Client) -> Iterator[Finding]:
    """Describe the endpoint; one that does not exist is right before the first deployment."""
    for name, described in _endpoints(deployment, client):
        region = target.region
        if described is None:
            yield ok("endpoint", f"{name} is not there yet")
            continue
        status = described["EndpointStatus"]
        found = f"{name} is {status}"
        if reason := described.get("FailureReason"):
            found += f": {reason}"
        if status in ("InService", "UpdateRollbackFailed"):
            # UpdateRollbackFailed: instances of both configs serve, and the next update replaces them.
            yield ok("endpoint", found)
        elif status in _BUSY:
            yield problem(
                "endpoint",
                found,
                f"wait: `aws sagemaker wait endpoint-in-service --endpoint-name {name} --region {region}`",
            )
        elif status == "Failed":
            delete = f"node_modules/.bin/cdk destroy {_path(deployment)} -c stage={target.name}"
            yield problem("endpoint", found, f"it can only be deleted: `{delete}`, then deploy again")
        else:
            yield unknown("endpoint", found, "whether SageMaker updates it is not documented")


def has_no_alarm(deployment: Deployment, _target: StageTarget, client: Client) -> Iterator[Finding]:
    """Look for rollback alarms in ALARM: an update would be rolled back at once."""
    for name, described in _endpoints(deployment, client):
        alarms = _rollback_alarms(deployment)
        if described is None or not alarms:
            why = "rolls no update back" if described else "is not there yet: no update"
            yield ok("rollback alarms", f"{name} {why}")
            continue
        found = client("cloudwatch").describe_alarms(AlarmNames=alarms)["MetricAlarms"]
        raised = [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]
        if raised:
            yield problem(
                "rollback alarms",
                f"in ALARM: {', '.join(raised)}: SageMaker would roll an update of {name} back",
                "end the cause, see docs/alarms.md; if the update does: `rollout.rollback_on_alarms: false` "
                "for this deployment",
            )
        else:
            yield ok("rollback alarms", f"none of {len(alarms)} is in ALARM")


def _endpoints(deployment: Deployment, client: Client) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for properties in deployment.resources("AWS::SageMaker::Endpoint"):
        name = properties["EndpointName"]
        try:
            yield name, client("sagemaker").describe_endpoint(EndpointName=name)
        except ClientError as error:
            # SageMaker has no separate code for this.
            said = error.response["Error"]
            if said["Code"] != "ValidationException" or "Could not find" not in said.get("Message", ""):
                raise
            yield name, None


def _rollback_alarms(deployment: Deployment) -> list[str]:
    [properties] = deployment.resources("AWS::SageMaker::Endpoint")
    rollback = properties.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    return [alarm["AlarmName"] for alarm in rollback.get("Alarms", []) if isinstance(alarm["AlarmName"], str)]


def _path(deployment: Deployment) -> str:
    """Return the path of the stack with the endpoint."""
    kinds = {
        stack.path: {resource["Type"] for resource in stack.resources.values()} for stack in deployment.stacks
    }
    return next(path for path, found in kinds.items() if "AWS::SageMaker::Endpoint" in found)
