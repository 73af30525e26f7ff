"""The CDK app: one Stage per file of stages/. `-c stage=dev` leaves the others out."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

gc.disable()  # a synth imports much and ends soon: looking for garbage costs a tenth of a second

import aws_cdk as cdk  # noqa: E402

from stacks.config import ConfigError, load_stages  # noqa: E402
from stacks.stage import ServingStage  # noqa: E402


def main() -> None:
    """Synthesize; a stage or a lock file that cannot be used is told in one line, exit code 2."""
    app = cdk.App()
    try:
        for stage in load_stages(Path(__file__).parent / "stages", app.node.try_get_context("stage")):
            ServingStage(app, stage.name.capitalize(), stage=stage)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    app.synth()


if __name__ == "__main__":
    main()
