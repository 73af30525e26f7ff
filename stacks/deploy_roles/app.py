"""The stacks of the roles' app, one for each account."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk

from stacks.config.pipeline_config import PipelineConfig
from stacks.config.stage_config import LoadedStage
from stacks.deploy_roles.deploy_roles_stack import DeployRolesStack
from stacks.deploy_roles.names import roles_stack_id
from stacks.deploy_roles.role_stage import role_stages


def add_stacks(
    app: cdk.App, pipeline: PipelineConfig, stages: Iterable[LoadedStage]
) -> list[DeployRolesStack]:
    """Add the stack of each account, with the roles of all stages that name it."""
    found = role_stages(stages)
    return [
        DeployRolesStack(
            app,
            roles_stack_id(account),
            pipeline=pipeline,
            stages=[stage for stage in found if stage.account == account],
        )
        for account in dict.fromkeys(stage.account for stage in found)
    ]
