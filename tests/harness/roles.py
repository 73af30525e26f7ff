"""The stacks of the pipeline's roles for stages in three accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from stacks.config.loading import load_stages
from stacks.config.pipeline_config import PipelineConfig
from stacks.config.stage_config import LoadedStage
from stacks.deploy_roles.app import add_stacks
from stacks.project import ROOT
from tests.harness.assembly import empty_app

ACCOUNTS = {"dev": "111111111111", "staging": "222222222222", "prod": "333333333333"}
FROM = {"staging": "dev", "prod": "staging"}
REPOSITORY = "acme@1001/lora@2002"
PIPELINE = PipelineConfig(repository=REPOSITORY, rollback_role=True)


def in_accounts(accounts: Mapping[str, str] = ACCOUNTS) -> list[LoadedStage]:
    """Return the shipped stages, as if their files named these accounts."""
    changed = []
    for stage in load_stages(ROOT / "stages"):
        update = {"account": accounts.get(stage.name), "promote_from": FROM.get(stage.name)}
        config = stage.config.model_copy(update=update)
        changed.append(stage.model_copy(update={"config": config}))
    return changed


def roles_app(
    output: Path, pipeline: PipelineConfig = PIPELINE, stages: list[LoadedStage] | None = None
) -> cdk.App:
    """Make the app of the roles, not synthesized yet."""
    app = empty_app(output)
    add_stacks(app, pipeline, in_accounts() if stages is None else stages)
    return app


def role_templates(
    output: Path, pipeline: PipelineConfig = PIPELINE, stages: list[LoadedStage] | None = None
) -> dict[str, dict[str, Any]]:
    """Synthesize the roles; templates by account."""
    roles_app(output, pipeline, stages).synth()
    return {
        path.name.split(".")[0].removeprefix("DeployRoles-"): json.loads(path.read_text())
        for path in sorted(output.glob("*.template.json"))
    }
