"""The config that serves, against that of the stack: a rollback that CloudFormation did not report is found.

After a failed UpdateEndpoint the endpoint is InService on the config before; `FailureReason` is promised for
status Failed only (API reference of DescribeEndpoint) and was empty in reports of such rollbacks
(terraform-provider-aws #46663, #48997, #49020). What CloudFormation reports then is not documented. So the
names are compared, whatever the stack says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape

from loraserve.aws import Client
from loraserve.errors import UserError
from loraserve.finding import Finding, State, ok, problem, warning
from loraserve.verify.endpoint import endpoint_config, model, settled_endpoint, stack_config
from stacks.config.stage_target import StageTarget

#: Subject of the finding about a rollback that CloudFormation did not report.
SILENT_ROLLBACK = "silent rollback"
#: The last sentence of a command that found one.
SILENT_ROLLBACK_SENTENCE = (
    "the deployment did not take effect: SageMaker rolled it back, and CloudFormation reports it complete"
)


class NotAsDeployed(UserError):
    """An endpoint that is not as it was deployed, or does not answer."""


class SilentRollback(NotAsDeployed):
    """An endpoint that SageMaker rolled back while CloudFormation reports the update complete."""


def require_config(console: Console, target: StageTarget, client: Client) -> None:
    """Raise `NotAsDeployed` unless the endpoint serves the stack's config; print the warnings."""
    for finding in check_config(target, client):
        text = f"{finding.found}: {finding.remedy}" if finding.remedy else finding.found
        if finding.state is State.PROBLEM:
            error = SilentRollback if finding.check == SILENT_ROLLBACK else NotAsDeployed
            raise error(text)
        if finding.state is State.WARNING:
            console.print(f"[yellow]![/] {escape(text)}", highlight=False, soft_wrap=True)


def check_config(target: StageTarget, client: Client) -> Iterator[Finding]:
    """Compare the config that serves with the stack's, after the operation under way, e.g. autoscaling's."""
    sagemaker, name = client("sagemaker"), target.endpoint_name
    wanted = stack_config(client("cloudformation"), name)
    live = settled_endpoint(sagemaker, name)
    if live is None:
        yield problem(
            "endpoint",
            f"{name} does not exist, and its stack has it",
            f"it was deleted by hand: delete the stack {name}, then deploy the stage again",
        )
        return
    yield _status(target, live)
    # Older ARNs are in lower case, whatever the name's case is (boto3 #4606, YACE #1178).
    if live["EndpointConfigName"].lower() == wanted.lower():
        yield ok("config", f"{live['EndpointConfigName']}, that of the stack")
    elif "PendingDeploymentSummary" not in live:
        yield _silent_rollback(target, sagemaker, live, wanted)
    if pending := live.get("PendingDeploymentSummary"):
        yield problem(
            "pending update",
            f"{name} is on its way to {pending['EndpointConfigName']} for more than an hour",
            "see its events and its log group; run this again when it is over",
        )
    config = endpoint_config(sagemaker, live["EndpointConfigName"])
    if config is None:
        yield problem(
            "config exists",
            f"{live['EndpointConfigName']} is deleted although {name} serves it: its instance type cannot be "
            "looked up any more, and SageMaker cannot patch the endpoint",
            f"deploy a config at once: `python -m loraserve repair {target.name}`, or the stage again",
        )
        return
    yield from _models(sagemaker, config)
    yield from _capture(name, live, config)


def _status(target: StageTarget, live: dict[str, Any]) -> Finding:
    name, status, reason = target.endpoint_name, live["EndpointStatus"], live.get("FailureReason")
    found = f"{name} is {status} on {live['EndpointConfigName']}" + (f": {reason}" if reason else "")
    if status != "InService":
        return problem("endpoint", found, f"`make doctor STAGE={target.name}` has the remedy for each status")
    if reason:
        return warning("endpoint", found, "SageMaker kept this reason of an earlier failure")
    return ok("endpoint", found)


def _silent_rollback(target: StageTarget, sagemaker: Any, live: dict[str, Any], wanted: str) -> Finding:
    name, serving = target.endpoint_name, live["EndpointConfigName"]
    exists = endpoint_config(sagemaker, serving) is not None
    state = (
        "which still exists"
        if exists
        else "which is deleted: SageMaker can neither say its instance type nor patch the endpoint"
    )
    return problem(
        SILENT_ROLLBACK,
        f"{name} serves the config {serving}, {state}; its stack has {wanted}: "
        f"{live.get('FailureReason', 'SageMaker gives no reason')}",
        "a plain deployment changes nothing, because CloudFormation has no change to make. Find the cause in "
        f"the log group /aws/sagemaker/Endpoints/{name} and in the alarms and end it; then "
        f"`python -m loraserve repair {target.name}` updates the endpoint to {wanted}. To go back instead: "
        f"`make rollback STAGE={target.name} REASON='…'`, or deploy an earlier commit; either makes a new "
        "config",
    )


def _models(sagemaker: Any, config: dict[str, Any]) -> Iterator[Finding]:
    for variant in config["ProductionVariants"]:
        name = variant["ModelName"]
        if model(sagemaker, name) is None:
            yield problem(
                "model exists",
                f"model {name} of the config that serves is deleted: new instances cannot start",
                "deploy the stage again with a changed setting, which makes a new model",
            )
        else:
            yield ok("model exists", name)


def _capture(endpoint: str, live: dict[str, Any], config: dict[str, Any]) -> Iterator[Finding]:
    """Compare the recorded share of the requests: an update may retain the old one."""
    captured = _share(live.get("DataCaptureConfig", {}), "CurrentSamplingPercentage")
    wanted = _share(config.get("DataCaptureConfig", {}), "InitialSamplingPercentage")
    if captured != wanted:
        yield warning(
            "data capture",
            f"{endpoint} records {captured} % of its requests, and the stage file says {wanted} %",
            "the update retained the old setting; delete the endpoint's stack and deploy again to change it",
        )


def _share(capture: dict[str, Any], key: str) -> int:
    """Return the percentage of requests that are recorded."""
    return int(capture[key]) if capture.get("EnableCapture") else 0
