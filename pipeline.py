"""The CDK app of the pipeline in AWS CodePipeline, an alternative to the workflows of GitHub.

`-c repository=owner/name -c connection=ARN` name the source. The stages are those of stages/ that
`promote_from` connects. docs/promotion.md compares the two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from stacks.config.loading import load_stages
from stacks.config.promotion_order import chained
from stacks.config.stage_config import StageConfig
from stacks.config.stage_target import StageTarget
from stacks.pipeline.pipeline_stack import PipelineSource, PipelineStack, PromotedStage
from stacks.typed_yaml import ConfigError


def main() -> None:
    """Synthesize; a missing value is reported in one line, exit code 2."""
    app = cdk.App()
    try:
        PipelineStack(app, "LoraServing-Pipeline", source=_source(app), stages=promoted_stages())
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    app.synth()


def _source(app: cdk.App) -> PipelineSource:
    values = {name: app.node.try_get_context(name) for name in ("repository", "connection")}
    for name, value in values.items():
        if not value:
            raise ConfigError(
                f"-c {name}=… is missing: the pipeline needs repository=owner/name and connection=ARN"
            )
    return PipelineSource(**values, context=[f"{name}={value}" for name, value in values.items()])


def promoted_stages() -> list[PromotedStage]:
    """Return the stages that `promote_from` connects, in the order of the promotion; raises `ConfigError`."""
    configs = {stage.name: stage.config for stage in load_stages(Path(__file__).parent / "stages")}
    order = chained({name: config.promote_from for name, config in configs.items()})
    if not order:
        raise ConfigError("stages/ has no stage with promote_from: a pipeline needs two that it connects")
    return [_promoted(name, configs[name]) for name in order]


def _promoted(name: str, config: StageConfig) -> PromotedStage:
    if config.account is None:
        raise ConfigError(
            f"stages/{name}.yaml: account is missing: the pipeline assumes a role there; name it"
        )
    return PromotedStage(
        target=StageTarget(name=name, account=config.account, region=config.region),
        builds_image=config.promote_from is None,
        needs_approval=config.termination_protection,
    )


if __name__ == "__main__":
    main()
