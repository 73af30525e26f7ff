"""The pipeline in AWS CodePipeline, of three stages in three accounts."""

from pathlib import Path

import aws_cdk as cdk

from stacks.config.stage_target import StageTarget
from stacks.pipeline.pipeline_stack import PipelineSource, PipelineStack, PromotedStage

ACCOUNTS = {"dev": "1" * 12, "staging": "2" * 12, "prod": "3" * 12}


def pipeline_app(folder: Path) -> cdk.App:
    """Make the app; its assembly is written to `folder`."""
    app = cdk.App(outdir=str(folder))
    stages = [
        PromotedStage(
            target=StageTarget(name=name, account=account, region="us-east-1"),
            builds_image=name == "dev",
            needs_approval=name == "prod",
        )
        for name, account in ACCOUNTS.items()
    ]
    PipelineStack(
        app,
        "LoraServing-Pipeline",
        source=PipelineSource(
            repository="octo-org/octo-repo",
            connection="arn:aws:codeconnections:us-east-1:444444444444:connection/0",
            context=["repository=octo-org/octo-repo"],
        ),
        stages=stages,
        env=cdk.Environment(account="4" * 12, region="us-east-1"),
    )
    return app
