"""The CDK app of a folder of stage files: `python -m tests.local.updates.stage_app FOLDER`, see app.py."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

if __name__ == "__main__":  # not in a process of the tests, which import this module
    gc.disable()  # see app.py

import aws_cdk as cdk

from stacks.config.loading import load_stages
from stacks.stage import ServingStage
from stacks.typed_yaml import ConfigError


def main(app: cdk.App, folder: Path) -> None:
    """Synthesize the stages of a folder. Raises `ConfigError`."""
    only: str | None = app.node.try_get_context("stage")
    for stage in load_stages(folder, *((only,) if only else ())):
        ServingStage(app, stage.name.capitalize(), stage=stage)
    app.synth()


if __name__ == "__main__":
    try:
        main(cdk.App(), Path(sys.argv[1]))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
