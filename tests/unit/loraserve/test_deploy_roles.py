"""The command that deploys the pipeline's roles."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loraserve.deploy_roles import RolesRefused, deploy_roles
from stacks.config.stage_config import LoadedStage
from stacks.typed_yaml import ConfigError
from tests.harness.roles import ACCOUNTS, in_accounts


class Sts:
    """STS of an administrator of Prod's account."""

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": ACCOUNTS["prod"], "Arn": f"arn:aws:iam::{ACCOUNTS['prod']}:user/admin"}


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text("repository: acme@1/lora@2\nrollback_role: true\n")
    return path


def stage(name: str, accounts: dict[str, str] = ACCOUNTS) -> LoadedStage:
    [found] = [each for each in in_accounts(accounts) if each.name == name]
    return found


def run(loaded: LoadedStage, pipeline: Path) -> tuple[list[tuple[Any, ...]], str]:
    calls: list[tuple[Any, ...]] = []
    written = io.StringIO()
    deploy_roles(
        Console(file=written, width=200),
        loaded,
        lambda _service: Sts(),
        lambda *arguments: calls.append(arguments),
        ["--require-approval", "never"],
        pipeline_file=pipeline,
    )
    return calls, written.getvalue()


def test_the_stack_of_the_account_is_deployed_and_the_variables_are_printed(pipeline: Path) -> None:
    [(command, stack, *_)], text = run(stage("prod"), pipeline)
    assert (command, stack) == ("deploy", "DeployRoles-333333333333")
    prefix = "arn:aws:iam::333333333333:role/LoraServing-Prod"
    for environment, role in (("prod-plan", "Plan"), ("prod", "Deploy"), ("prod-rollback", "Rollback")):
        assert f"gh variable set AWS_ROLE_ARN --env {environment} --body {prefix}-{role}\n" in text
        assert f"gh variable set AWS_REGION --env {environment} --body us-east-1\n" in text


def test_another_account_is_refused(pipeline: Path) -> None:
    with pytest.raises(RolesRefused, match="are for account 333333333333 .* is for 222222222222"):
        run(stage("staging"), pipeline)


def test_a_stage_without_an_account_is_refused(pipeline: Path) -> None:
    with pytest.raises(RolesRefused, match=r"stages/prod.yaml has no `account`"):
        run(stage("prod", {}), pipeline)


def test_a_pipeline_without_a_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("rollback_role: true\n")
    with pytest.raises(ConfigError, match="repository: missing"):
        run(stage("prod"), tmp_path / "pipeline.yaml")
