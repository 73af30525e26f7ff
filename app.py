"""The CDK app: one Stage for each file of stages/, or only those that `-c stage=dev,staging` names.

`-c local_image=asset` replaces the image of the Local stage, by default a process of the working tree.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

gc.disable()  # a synth is a short process: garbage collection costs a tenth of a second

import aws_cdk as cdk  # noqa: E402

from stacks.config.loading import load_stages  # noqa: E402
from stacks.stage import ServingStage  # noqa: E402
from stacks.stage_facts import write_facts  # noqa: E402
from stacks.typed_yaml import ConfigError  # noqa: E402


def main() -> None:
    """Synthesize, and print a line per stage; an unusable file is reported in one line, exit code 2."""
    app = cdk.App()
    only: str | None = app.node.try_get_context("stage")
    try:
        found = load_stages(
            Path(__file__).parent / "stages",
            *(only.split(",") if only else ()),
            local_image=app.node.try_get_context("local_image"),
        )
        stages = [ServingStage(app, stage.id, stage=stage) for stage in found]
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    app.synth()
    write_facts({stage.node.id: stage.facts() for stage in stages}, Path(app.outdir))
    for stage in stages:
        print(f"{stage.node.id}: {stage.cost}; {stage.quota}; {stage.scaling}", file=sys.stderr)


if __name__ == "__main__":
    main()
