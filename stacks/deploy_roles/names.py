"""Names of the roles, which a pipeline and the other accounts write in their own configuration."""

from __future__ import annotations

from stacks.config.stage_target import STACK_PREFIX, StageTarget


def plan_role_name(stage: StageTarget) -> str:
    """Return the name of the role that checks a promotion, e.g. `LoraServing-Prod-Plan`; it only reads."""
    return f"{STACK_PREFIX}{stage.id}-Plan"


def deploy_role_name(stage: StageTarget) -> str:
    """Return the name of the role that deploys, e.g. `LoraServing-Prod-Deploy`."""
    return f"{STACK_PREFIX}{stage.id}-Deploy"


def rollback_role_name(stage: StageTarget) -> str:
    """Return the name of the role that rolls back, e.g. `LoraServing-Prod-Rollback`."""
    return f"{STACK_PREFIX}{stage.id}-Rollback"


def pull_role_name(stage: StageTarget) -> str:
    """Return the name of the role with which the next stage reads images, e.g. `LoraServing-Staging-Pull`."""
    return f"{STACK_PREFIX}{stage.id}-Pull"


def roles_stack_id(account: str) -> str:
    """Return the name of an account's stack in the app `roles.py`."""
    return f"DeployRoles-{account}"
