"""`cdk deploy` of the pipeline's roles in the account of a stage, by an administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from loraserve.aws import Client
from loraserve.errors import UserError
from stacks.config.pipeline_config import PipelineConfig
from stacks.config.stage_config import LoadedStage
from stacks.config.stage_target import StageTarget
from stacks.deploy_roles.names import (
    deploy_role_name,
    plan_role_name,
    roles_stack_id,
    rollback_role_name,
)
from stacks.project import ROOT
from stacks.typed_yaml import read

PIPELINE_FILE = ROOT / "pipeline.yaml"
#: Separate from the assembly of the stages.
ASSEMBLY = ROOT / "out" / "roles"
#: The app, as cdk.json starts the one of the stages.
APP = "JSII_NODE=.venv/bin/synth-node .venv/bin/python roles.py"


class RolesRefused(UserError):
    """The stage names no account, or the credentials are for another one."""


def deploy_roles(
    console: Console,
    stage: LoadedStage,
    client: Client,
    cdk: Callable[..., object],
    options: Sequence[str] = (),
    *,
    pipeline_file: Path = PIPELINE_FILE,
) -> None:
    """Deploy the roles of all stages in this stage's account, and print what the environments need.

    `cdk` runs the CLI with its arguments, `options` are passed to it. Raises `RolesRefused`, `ConfigError`
    for an unusable pipeline.yaml, `loraserve.cdk.CdkError`, and boto3's errors.
    """
    pipeline = read(pipeline_file, PipelineConfig)
    account, caller = stage.config.account, client("sts").get_caller_identity()
    if account is None:
        raise RolesRefused(
            f"stages/{stage.name}.yaml has no `account`, and roles are for one: set it, and that of each "
            "stage that gives or takes releases"
        )
    if account != caller["Account"]:
        raise RolesRefused(
            f"the credentials are for account {caller['Account']} ({caller['Arn']}), and "
            f"stages/{stage.name}.yaml is for {account}. Use that account's credentials, e.g. with "
            "AWS_PROFILE"
        )
    cdk("deploy", roles_stack_id(account), "--app", APP, *options)
    partition = caller["Arn"].split(":")[1]
    console.print("variables of the environments, which the workflows read:", soft_wrap=True)
    for command in variables(stage.target, pipeline, f"arn:{partition}:iam::{account}:role/"):
        console.print(f"  {command}", soft_wrap=True, highlight=False)


def variables(target: StageTarget, pipeline: PipelineConfig, prefix: str) -> Iterator[str]:
    """Yield the commands that set the variables of a stage's environments; `prefix` is of the roles' ARNs."""
    roles = {f"{target.name}-plan": plan_role_name(target), target.name: deploy_role_name(target)}
    if pipeline.rollback_role:
        roles[f"{target.name}-rollback"] = rollback_role_name(target)
    for environment, role in roles.items():
        yield f"gh variable set AWS_ROLE_ARN --env {environment} --body {prefix}{role}"
        yield f"gh variable set AWS_REGION --env {environment} --body {target.region}"
