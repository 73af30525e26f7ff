"""The roles of the pipeline: for which stages, whom they trust, and for how long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.config.pipeline_config import ISSUER, PipelineConfig
from stacks.config.rollout_plan import MAX_TIMEOUT
from stacks.config.stage_config import LoadedStage
from stacks.deploy_roles.role_stage import role_stages
from tests.harness.roles import ACCOUNTS, PIPELINE, REPOSITORY, in_accounts, role_templates
from tests.unit.stacks.synthesis import of_type

Template = dict[str, Any]


def roles_of(template: Template) -> dict[str, dict[str, Any]]:
    return {role["RoleName"]: role for role in of_type(template, "AWS::IAM::Role")}


def changed(stage: LoadedStage, section: str, **values: object) -> LoadedStage:
    part = getattr(stage.config, section).model_copy(update=values)
    return stage.model_copy(update={"config": stage.config.model_copy(update={section: part})})


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    return role_templates(tmp_path_factory.mktemp("roles"))


def test_each_account_has_the_roles_of_its_stage(templates: dict[str, Template]) -> None:
    names = {account: sorted(roles_of(template)) for account, template in templates.items()}
    jobs = {
        name: [f"LoraServing-{name.capitalize()}-{role}" for role in ("Deploy", "Plan")] for name in ACCOUNTS
    }
    for name, account in ACCOUNTS.items():
        pull = [] if name == "prod" else [f"LoraServing-{name.capitalize()}-Pull"]
        assert names[account] == [*jobs[name], *pull, f"LoraServing-{name.capitalize()}-Rollback"]


def test_a_role_trusts_one_environment_without_a_pattern(templates: dict[str, Template]) -> None:
    environments = {"Plan": "-plan", "Deploy": "", "Rollback": "-rollback"}
    for name, account in ACCOUNTS.items():
        for role, suffix in environments.items():
            trust = roles_of(templates[account])[f"LoraServing-{name.capitalize()}-{role}"]
            [statement] = trust["AssumeRolePolicyDocument"]["Statement"]
            assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
            assert statement["Condition"] == {
                "StringEquals": {
                    f"{ISSUER}:aud": "sts.amazonaws.com",
                    f"{ISSUER}:sub": f"repo:{REPOSITORY}:environment:{name}{suffix}",
                }
            }


def test_a_session_is_as_long_as_a_job_and_as_the_rollout(tmp_path: Path) -> None:
    slow = [changed(stage, "rollout", timeout_seconds=MAX_TIMEOUT) for stage in in_accounts()]
    roles = roles_of(role_templates(tmp_path, PIPELINE, slow)[ACCOUNTS["prod"]])
    assert roles["LoraServing-Prod-Deploy"]["MaxSessionDuration"] == MAX_TIMEOUT + 2 * 3600
    assert roles["LoraServing-Prod-Plan"]["MaxSessionDuration"] == 3600
    assert all(stage.session_seconds >= 6 * 3600 for stage in role_stages(in_accounts()))


def test_stages_of_one_account_share_a_stack_and_need_no_role_to_pull(tmp_path: Path) -> None:
    accounts = {"dev": ACCOUNTS["dev"], "staging": ACCOUNTS["dev"]}
    [template] = role_templates(tmp_path, PipelineConfig(repository="a/b"), in_accounts(accounts)).values()
    assert sorted(roles_of(template)) == [
        f"LoraServing-{stage}-{role}" for stage in ("Dev", "Staging") for role in ("Deploy", "Plan")
    ]
    assert len(of_type(template, "AWS::IAM::OIDCProvider")) == 1
    assert "-Pull" not in json.dumps(template)


def test_an_existing_provider_is_used_in_its_account(tmp_path: Path) -> None:
    arn = f"arn:aws:iam::{ACCOUNTS['dev']}:oidc-provider/{ISSUER}"
    templates = role_templates(tmp_path, PipelineConfig(repository="a/b", existing_providers=[arn]))
    assert not of_type(templates[ACCOUNTS["dev"]], "AWS::IAM::OIDCProvider")
    [statement] = roles_of(templates[ACCOUNTS["dev"]])["LoraServing-Dev-Deploy"]["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert statement["Principal"] == {"Federated": arn}
    assert of_type(templates[ACCOUNTS["prod"]], "AWS::IAM::OIDCProvider")


def test_a_boundary_and_a_key_of_the_stage_file_bound_the_roles(tmp_path: Path) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNTS['prod']}:key/1234abcd"
    stages = [changed(s, "security", permissions_boundary="bound", key_arn=key) for s in in_accounts()]
    template = role_templates(tmp_path, PIPELINE, stages)[ACCOUNTS["prod"]]
    for role in roles_of(template).values():
        assert "policy/bound" in json.dumps(role["PermissionsBoundary"])
    keys = [
        statement["Resource"]
        for policy in of_type(template, "AWS::IAM::ManagedPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Sid"] in {"DecryptStore", "EncryptRecords"}
    ]
    assert keys == [key, key]


def test_no_policy_is_too_large_for_iam(tmp_path: Path) -> None:
    """A managed policy has 6,144 characters at most, of the longest names too."""
    longest = "x" * 31
    [stage] = [
        stage.model_copy(update={"name": longest}) for stage in in_accounts() if stage.name == "staging"
    ]
    giving = [s.model_copy(update={"name": "y" * 31}) for s in in_accounts() if s.name == "dev"]
    config = stage.config.model_copy(update={"promote_from": "y" * 31})
    stages = [*giving, stage.model_copy(update={"config": config})]
    template = role_templates(tmp_path, PIPELINE, stages)[ACCOUNTS["staging"]]
    for policy in of_type(template, "AWS::IAM::ManagedPolicy"):
        text = json.dumps(policy["PolicyDocument"], separators=(",", ":"))
        # An ARN's partition is a join here, and four characters in IAM.
        assert len(text.replace('{"Fn::Join":["",["', "").replace('{"Ref":"AWS::Partition"}', "aws")) < 6144
    for role in roles_of(template):
        assert len(role) <= 64
