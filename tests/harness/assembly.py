"""Synthesis of every stage in the test's process."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from loraserve.diff import stack_templates
from stacks.config.loading import load_stages
from stacks.project import ROOT
from stacks.stage import ServingStage
from stacks.stage_facts import write_facts


def empty_app(output: Path) -> cdk.App:
    """Make an app with the flags of cdk.json, as the CLI makes it."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return cdk.App(context=context, outdir=str(output))


def every_stage(app: cdk.App) -> list[ServingStage]:
    """Add every stage, as app.py does."""
    return [ServingStage(app, stage.id, stage=stage) for stage in load_stages(ROOT / "stages")]


def synth(output: Path) -> dict[str, dict[str, Any]]:
    """Synthesize every stage with its facts, as app.py does; templates by `Dev/Serving`."""
    app = empty_app(output)
    stages = every_stage(app)
    app.synth()
    write_facts({stage.node.id: stage.facts() for stage in stages}, output)
    return {path: json.loads(file.read_text()) for path, file in stack_templates(output)}
