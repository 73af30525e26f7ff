"""`make deploy`: `cdk deploy` of a stage, in the order that lets a new instance type through."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from loraserve.cdk import CLI, NODE, CdkError
from loraserve.diff import stack_templates
from stacks.project import ROOT

#: Runs `cdk ARGUMENTS`; raises `CdkError`.
Cdk = Callable[..., object]


def deploy(
    console: Console, stage: str, sagemaker: Any, cdk: Cdk, assembly: Path, arguments: Sequence[str] = ()
) -> None:
    """Synthesize the stage into `assembly` and deploy its stacks; `arguments` are for `cdk deploy`.

    SageMaker refuses to change the instance type of a variant that Application Auto Scaling manages, and
    CloudFormation would take the registration away only after the update. So where the type changes, the
    stack with the registration goes first and comes back with the deployment: the endpoint keeps the
    instances that it has meanwhile, and does not scale.

    `sagemaker` is a client of the stage's account and region. Raises `CdkError`.
    """
    context = ("--context", f"stage={stage}")
    cdk("synth", "--quiet", *context)
    name = stage.capitalize()
    endpoint, wanted = _wanted(dict(stack_templates(assembly))[f"{name}/Serving"])
    deployed = _deployed_type(sagemaker, endpoint)
    if deployed not in (None, wanted):
        console.print(
            f"{endpoint}: {deployed} becomes {wanted}. Autoscaling is taken away for the update, which "
            "SageMaker would refuse otherwise, and comes back with it."
        )
        cdk("destroy", f"{name}/Scaling", "--force", "--exclusively", *context)
    cdk("deploy", f"{name}/*", *context, *arguments)


def interactive(*arguments: str, output: Path) -> None:
    """Run the pinned CDK CLI on this terminal, with its questions; raises `CdkError` if it fails."""
    command = [str(NODE), str(CLI), *arguments, "--output", str(output), "--no-notices"]
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"}, check=False
    )
    if done.returncode != 0:
        raise CdkError(f"cdk {arguments[0]} failed: see above")


def _wanted(template: Path) -> tuple[str, str]:
    """The endpoint's name and its instance type, as the template has them."""
    resources = json.loads(template.read_text())["Resources"].values()
    by_type = {resource["Type"]: resource["Properties"] for resource in resources}
    [variant] = by_type["AWS::SageMaker::EndpointConfig"]["ProductionVariants"]
    return by_type["AWS::SageMaker::Endpoint"]["EndpointName"], variant["InstanceType"]


def _deployed_type(sagemaker: Any, endpoint: str) -> str | None:
    """The instance type that serves now; None where there is no such endpoint yet."""
    try:
        config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            return None
        raise
    [variant] = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    return str(variant["InstanceType"])
