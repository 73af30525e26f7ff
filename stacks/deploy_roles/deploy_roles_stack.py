"""The roles of a pipeline in one account, and the OIDC provider that its tokens come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.config.pipeline_config import ISSUER, PipelineConfig
from stacks.config.stage_target import STACK_PREFIX, STAGE_TAG
from stacks.deploy_roles.names import (
    deploy_role_name,
    plan_role_name,
    pull_role_name,
    rollback_role_name,
)
from stacks.deploy_roles.rights import Rights
from stacks.deploy_roles.role_stage import RoleStage

#: Not the beginning of a stage's stacks: a verification reports those that a release does not have.
STACK_NAME = "LoraServingDeployRoles"
#: The audience that aws-actions/configure-aws-credentials asks for.
AUDIENCE = "sts.amazonaws.com"
#: A check of a promotion takes minutes; IAM's smallest maximum is an hour.
_PLAN_SECONDS = 3600


class DeployRolesStack(cdk.Stack):
    """For each stage of an account the roles that check and deploy it, and one to read its images."""

    def __init__(
        self, scope: Construct, construct_id: str, *, pipeline: PipelineConfig, stages: Sequence[RoleStage]
    ) -> None:
        """`stages` are of one account; IAM is global, the stack is in the region of the first of them."""
        super().__init__(
            scope,
            construct_id,
            stack_name=STACK_NAME,
            description="Roles of the pipeline that deploys multi-LoRA endpoints",
            env=cdk.Environment(account=stages[0].account, region=stages[0].target.region),
        )
        self._pipeline = pipeline
        self._provider = self._provider_arn(stages[0].account)
        for stage in stages:
            self._create_roles(stage)

    def _provider_arn(self, account: str) -> str:
        for arn in self._pipeline.existing_providers:
            if arn.split(":")[4] == account:
                return arn
        provider = iam.OidcProviderNative(
            self,
            "GitHub",
            url=f"https://{ISSUER}",
            client_ids=[AUDIENCE],
            # Other pipelines of the account may use it by now.
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        return provider.oidc_provider_arn

    def _create_roles(self, stage: RoleStage) -> None:
        target, rights = stage.target, Rights(self, stage)
        read = self._policy(f"{target.id}Read", rights.reading())
        drift = self._policy(f"{target.id}Drift", rights.drift())
        change = self._policy(f"{target.id}Change", rights.changing())
        environment, session = target.name, stage.session_seconds
        reading, all_of_them = [read, drift], [read, drift, change]
        self._job_role(stage, f"{environment}-plan", plan_role_name(target), _PLAN_SECONDS, policies=reading)
        self._job_role(stage, environment, deploy_role_name(target), session, policies=all_of_them)
        if self._pipeline.rollback_role:
            self._job_role(
                stage,
                f"{environment}-rollback",
                rollback_role_name(target),
                session,
                policies=all_of_them,
            )
        if stage.takers:
            self._pull_role(stage, rights)

    def _policy(self, name: str, statements: Iterable[iam.PolicyStatement]) -> iam.ManagedPolicy:
        return iam.ManagedPolicy(self, name, statements=list(statements))

    def _job_role(
        self,
        stage: RoleStage,
        environment: str,
        name: str,
        session_seconds: int,
        *,
        policies: Sequence[iam.IManagedPolicy],
    ) -> None:
        """Create the role of the jobs in one environment of the repository, and of no other job."""
        subject = f"repo:{self._pipeline.repository}:environment:{environment}"
        role = iam.Role(
            self,
            _id(name),
            role_name=name,
            description=f"GitHub environment {environment}",
            assumed_by=iam.WebIdentityPrincipal(
                self._provider, {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}}
            ),
            max_session_duration=cdk.Duration.seconds(session_seconds),
            managed_policies=list(policies),
            permissions_boundary=self._boundary(stage, name),
        )
        cdk.Tags.of(role).add(STAGE_TAG, stage.target.name)
        cdk.CfnOutput(
            self,
            f"{_id(name)}Arn",
            value=role.role_arn,
            description=f"AWS_ROLE_ARN of the environment {environment}",
        )

    def _pull_role(self, stage: RoleStage, rights: Rights) -> None:
        """Create the role with which stages of other accounts read the image, and find the bucket.

        Their accounts are trusted for their roles alone: a role as principal would have to exist before.
        """
        arns = [
            f"arn:{cdk.Aws.PARTITION}:iam::{taker.account}:role/{name}"
            for taker in stage.takers
            for name in (deploy_role_name(taker), plan_role_name(taker))
        ]
        accounts = sorted({str(taker.account) for taker in stage.takers})
        name = pull_role_name(stage.target)
        role = iam.Role(
            self,
            _id(name),
            role_name=name,
            description=f"Images of the stage {stage.target.name}, for the stages after it",
            assumed_by=iam.CompositePrincipal(*map(iam.AccountPrincipal, accounts)).with_conditions(
                {"ArnEquals": {"aws:PrincipalArn": arns}}
            ),
            inline_policies={"Pull": iam.PolicyDocument(statements=list(rights.pulling()))},
            permissions_boundary=self._boundary(stage, name),
        )
        cdk.Tags.of(role).add(STAGE_TAG, stage.target.name)

    def _boundary(self, stage: RoleStage, name: str) -> iam.IManagedPolicy | None:
        if stage.boundary is None:
            return None
        return iam.ManagedPolicy.from_managed_policy_name(self, f"{_id(name)}Boundary", stage.boundary)


def _id(name: str) -> str:
    """Return the construct's id of a role, e.g. `ProdDeploy`."""
    return name.removeprefix(STACK_PREFIX).replace("-", "")
