"""The model of `pipeline.yaml`: the repository whose workflows deploy the stages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stacks.typed_yaml import Strict, shaped

_NAME, _ID = r"[A-Za-z0-9_.-]+", r"@\d+"
#: Beginning of the subject of GitHub's tokens, with the numbers or without.
_REPOSITORY = rf"{_NAME}/{_NAME}|{_NAME}{_ID}/{_NAME}{_ID}"
#: The issuer of the tokens of GitHub's own runners, https://docs.github.com/en/actions/reference/security/oidc
ISSUER = "token.actions.githubusercontent.com"

Repository = Annotated[
    str,
    shaped(
        _REPOSITORY,
        "write what this prints, without `repo:`: gh api repos/OWNER/NAME/actions/oidc/customization/sub "
        "--jq .sub_claim_prefix",
    ),
]
ProviderArn = Annotated[
    str,
    shaped(
        rf"arn:[a-z-]+:iam::\d{{12}}:oidc-provider/{ISSUER}",
        f"write the ARN of the account's provider: arn:aws:iam::<account>:oidc-provider/{ISSUER}",
    ),
]


class PipelineConfig(Strict):
    """The pipeline: the repository on GitHub, and what its accounts have already. `make roles` reads it.

    Each stage with an `account` gets roles for the jobs of the environments `<stage>-plan` and `<stage>`.
    """

    repository: Repository
    """The repository as its tokens name it: `OWNER@ID/NAME@ID` for one that was created, renamed or
    transferred after 2026-07-15, `OWNER/NAME` for an older one that did not opt in to the numbers. The
    command `gh api repos/OWNER/NAME/actions/oidc/customization/sub --jq .sub_claim_prefix` prints it after
    `repo:`."""
    existing_providers: list[ProviderArn] = Field([], max_length=20)
    """ARNs of GitHub's OIDC providers that accounts already have; an account can have one only. In the other
    accounts it is created."""
    rollback_role: bool = False
    """Create a role for the environment `<stage>-rollback` of each stage, whose reviewers can be others.
    Without it a rollback runs in the environment `<stage>`."""
