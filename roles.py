"""The CDK app of the pipeline's roles: a stack for each account that a stage names. See docs/pipeline.md.

An administrator deploys it once, apart from the stages: `make roles STAGE=prod ARGS='--profile admin'`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import aws_cdk as cdk

from stacks.config.loading import load_stages
from stacks.config.pipeline_config import PipelineConfig
from stacks.deploy_roles.app import add_stacks
from stacks.typed_yaml import ConfigError, read


def main() -> None:
    """Synthesize; an unusable file is reported in one line, exit code 2."""
    app, root = cdk.App(), Path(__file__).parent
    try:
        add_stacks(app, read(root / "pipeline.yaml", PipelineConfig), load_stages(root / "stages"))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    app.synth()


if __name__ == "__main__":
    main()
