"""The stacks of a stage as CloudFormation has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks.config.stage_target import StageTarget


def stage_stacks(cloudformation: Any, target: StageTarget) -> list[dict[str, Any]]:
    """Describe the stacks of a stage that exist, a failed one included."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    return [
        stack
        for page in pages
        for stack in page["Stacks"]
        if stack["StackName"].startswith(target.stack_name("")) and stack["StackStatus"] != "DELETE_COMPLETE"
    ]


def deployed_template(cloudformation: Any, stack_name: str) -> Mapping[str, Any]:
    """Return the template of a stack's last update that was not rolled back."""
    template: Mapping[str, Any] = cloudformation.get_template(StackName=stack_name)["TemplateBody"]
    return template
