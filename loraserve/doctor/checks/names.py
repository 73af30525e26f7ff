"""Fixed names: resources of that name that are in the way of the stage's stacks.

CloudFormation fails to create a resource with a fixed name if one exists already. The endpoint's log group
is the usual one: SageMaker creates it again if an instance writes after the stack was deleted.

The names come from the templates: property `<Kind>Name` of a type `AWS::<Service>::<Kind>` with a literal
value. A type without an entry in `TYPES` yields `unknown`, and a test refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.doctor.deployed import resources
from loraserve.doctor.deployment import Deployment
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.stage_target import StageTarget

#: Returns those of the names that exist.
Existing = Callable[[Any, Collection[str]], set[str]]


@dataclass(frozen=True)
class NamedType:
    """A CloudFormation type: the search for its resources by name, and their deletion."""

    noun: str
    service: str
    """botocore's name of the service."""
    existing: Existing
    delete: str
    """AWS CLI command that deletes `{name}`."""


def _log_groups(logs: Any, names: Collection[str]) -> set[str]:
    found = set()
    for name in names:
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        found |= {group["logGroupName"] for page in pages for group in page["logGroups"]} & {name}
    return found


def _alarms(cloudwatch: Any, names: Collection[str]) -> set[str]:
    # 100 names at most in a request; a stage has fewer than 30.
    answer = cloudwatch.describe_alarms(AlarmNames=sorted(names))
    return {alarm["AlarmName"] for alarm in answer["MetricAlarms"]}


def _dashboards(cloudwatch: Any, names: Collection[str]) -> set[str]:
    return _found(
        names,
        lambda name: cloudwatch.get_dashboard(DashboardName=name),
        ("ResourceNotFound", "DashboardNotFoundError"),
    )


def _endpoints(sagemaker: Any, names: Collection[str]) -> set[str]:
    return _found(
        names, lambda name: sagemaker.describe_endpoint(EndpointName=name), ("ValidationException",)
    )


def _found(names: Collection[str], ask: Callable[[str], object], missing: Collection[str]) -> set[str]:
    found = set()
    for name in names:
        try:
            ask(name)
        except ClientError as error:
            if error_code(error) not in missing:
                raise
        else:
            found.add(name)
    return found


TYPES = {
    "AWS::Logs::LogGroup": NamedType(
        "log group", "logs", _log_groups, "aws logs delete-log-group --log-group-name {name}"
    ),
    "AWS::CloudWatch::Alarm": NamedType(
        "alarm", "cloudwatch", _alarms, "aws cloudwatch delete-alarms --alarm-names {name}"
    ),
    "AWS::CloudWatch::Dashboard": NamedType(
        "dashboard", "cloudwatch", _dashboards, "aws cloudwatch delete-dashboards --dashboard-names {name}"
    ),
    "AWS::SageMaker::Endpoint": NamedType(
        "endpoint", "sagemaker", _endpoints, "aws sagemaker delete-endpoint --endpoint-name {name}"
    ),
}
#: A policy in a role: its name is the role's own.
_NOT_GLOBAL = ("AWS::IAM::Policy",)


def fixed_names(deployment: Deployment) -> dict[str, dict[str, str]]:
    """Collect the fixed names of the templates: by type, and for each name its stack."""
    names: dict[str, dict[str, str]] = {}
    for stack in deployment.stacks:
        for resource in stack.resources.values():
            kind = resource["Type"]
            name = resource.get("Properties", {}).get(f"{kind.rpartition('::')[2]}Name")
            if isinstance(name, str) and kind not in _NOT_GLOBAL:
                names.setdefault(kind, {})[name] = stack.name
    return names


def check(deployment: Deployment, target: StageTarget, client: Client) -> Iterator[Finding]:
    """Look for each fixed name: it is free, or a resource of its stack has it."""
    owned = {stack.name: resources(client("cloudformation"), stack.name) for stack in deployment.stacks}
    for kind, names in fixed_names(deployment).items():
        title = f"names: {kind.rpartition('::')[2]}"
        if kind not in TYPES:
            yield unknown(title, f"{', '.join(names)}: no check for {kind}")
            continue
        named = TYPES[kind]
        existing = named.existing(client(named.service), list(names))
        strange = sorted(name for name in existing if (kind, name.lower()) not in owned[names[name]])
        if strange:
            delete = named.delete.format(name=" ".join(strange))
            yield problem(
                title,
                f"there, and not of the stage's stacks: {', '.join(strange)}",
                f"if nothing needs it: `{delete} --region {target.region}`",
            )
        else:
            yield ok(title, f"{len(names) - len(existing)} free, {len(existing)} of the stage's stacks")
