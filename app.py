"""The CDK app: one Stage per file of stages/. `-c stage=dev` leaves the others out."""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from stacks.config import ConfigError, load_stages
from stacks.stage import ServingStage


def main() -> None:
    """Synthesize; a stage that cannot be used is told in one line, exit code 2."""
    app = cdk.App()
    try:
        stages = load_stages(Path(__file__).parent / "stages", app.node.try_get_context("stage"))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for stage in stages:
        ServingStage(app, stage.name.capitalize(), stage=stage)
    app.synth()


if __name__ == "__main__":
    main()
