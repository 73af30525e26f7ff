"""A pipeline of CDK Pipelines whose steps are the commands of the workflows: build, plan, approve, promote.

It has no stages of CDK Pipelines: those deploy by CloudFormation actions, without the order of updates that
SageMaker needs, and would publish each image again (docs/decisions/0015-promotion.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import pipelines
from constructs import Construct

from stacks.config.stage_target import StageTarget
from stacks.deploy_roles.names import deploy_role_name, plan_role_name

#: Folder of the release, in each step.
RELEASE = "out/release"
#: Folder of the pipeline's own assembly, from which it updates itself.
ASSEMBLY = "out/pipeline"
_PYTHON = {"version": "0.2", "phases": {"install": {"runtime-versions": {"python": "3.12"}}}}


@dataclass(frozen=True, kw_only=True)
class PromotedStage:
    """A stage that releases are promoted to."""

    target: StageTarget
    builds_image: bool
    """The first stage of a chain builds the image; the others copy it."""
    needs_approval: bool

    @property
    def plan_role(self) -> str:
        """ARN of the role that checks; the trust of both roles must name the pipeline's account."""
        return self._arn(plan_role_name(self.target))

    @property
    def deploy_role(self) -> str:
        """ARN of the role that deploys."""
        return self._arn(deploy_role_name(self.target))

    def _arn(self, role: str) -> str:
        return f"arn:aws:iam::{self.target.account}:role/{role}"


@dataclass(frozen=True, kw_only=True)
class PipelineSource:
    """The repository, through AWS CodeConnections."""

    repository: str
    """`owner/name`."""
    connection: str
    """ARN."""
    context: Sequence[str] = ()
    """Arguments of the pipeline's own synth."""


class PipelineStack(cdk.Stack):
    """The pipeline, in the account that it runs in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: PipelineSource,
        stages: Sequence[PromotedStage],
        env: cdk.Environment | None = None,
    ) -> None:
        """`stages` are in the order of the promotion."""
        super().__init__(scope, construct_id, env=env)
        code = pipelines.CodePipelineSource.connection(
            source.repository,
            "main",
            connection_arn=source.connection,
            # The history: whether a release descends from the deployed one.
            code_build_clone_output=True,
        )
        pipeline = pipelines.CodePipeline(
            self,
            "Pipeline",
            synth=pipelines.ShellStep(
                "Synth",
                input=code,
                commands=["make setup", _synth_command(source.context)],
                primary_output_directory=ASSEMBLY,
            ),
            cross_account_keys=True,
            enable_key_rotation=True,
            code_build_defaults=pipelines.CodeBuildOptions(
                partial_build_spec=codebuild.BuildSpec.from_object(_PYTHON)
            ),
        )
        release = pipelines.CodeBuildStep(
            "Release", input=code, commands=["make release"], primary_output_directory=RELEASE
        )
        pipeline.add_wave("Release", pre=[release])
        for stage in stages:
            pipeline.add_wave(stage.target.id, pre=self._steps(stage, code, release))

    def _steps(
        self, stage: PromotedStage, code: pipelines.IFileSetProducer, release: pipelines.IFileSetProducer
    ) -> list[pipelines.Step]:
        """Return the steps of a stage; each runs after the one before."""
        name, project = stage.target.name, stage.target.stack_name("PlanProject")
        command = f".venv/bin/python -m loraserve promote {name} --release {RELEASE}"
        plan = _step(f"Plan-{name}", stage.plan_role, f"{command} --check", code, release, project=project)
        deploy = _step(
            f"Promote-{name}", stage.deploy_role, command, code, release, privileged=stage.builds_image
        )
        if not stage.needs_approval:
            deploy.add_step_dependency(plan)
            return [plan, deploy]
        console = f"https://{self.region}.console.aws.amazon.com/codesuite/codebuild/projects"
        approval = pipelines.ManualApprovalStep(
            f"Approve-{name}",
            comment=f"The plan is the newest build of {project}.",
            review_url=f"{console}/{project}/history?region={self.region}",
        )
        approval.add_step_dependency(plan)
        deploy.add_step_dependency(approval)
        return [plan, approval, deploy]


def _synth_command(context: Sequence[str]) -> str:
    words = [*(f"--context {each}" for each in context), f"--output {ASSEMBLY}"]
    app = "JSII_NODE=.venv/bin/synth-node .venv/bin/python pipeline.py"
    return f".venv/bin/node node_modules/aws-cdk/bin/cdk synth --quiet --app '{app}' {' '.join(words)}"


def _step(
    name: str,
    role: str,
    command: str,
    code: pipelines.IFileSetProducer,
    release: pipelines.IFileSetProducer,
    *,
    project: str | None = None,
    privileged: bool = False,
) -> pipelines.CodeBuildStep:
    """Return a step that runs a command in a session of a stage's role."""
    return pipelines.CodeBuildStep(
        name,
        project_name=project,
        input=code,
        additional_inputs={RELEASE: release},
        # botocore and the CDK CLI renew the session of such a profile by themselves.
        env={"AWS_PROFILE": "stage", "ROLE": role},
        install_commands=[
            "make setup",
            'aws configure set role_arn "$ROLE" --profile stage',
            "aws configure set credential_source EcsContainer --profile stage",
        ],
        commands=[command],
        build_environment=codebuild.BuildEnvironment(privileged=privileged),
        # Above the longest rollout; the limit of CodeBuild.
        timeout=cdk.Duration.hours(8),
        role_policy_statements=[iam.PolicyStatement(actions=["sts:AssumeRole"], resources=[role])],
    )
