"""Synthesis of every stage in the test's process."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from loraserve.diff import stack_templates
from stacks.config.loading import load_stages
from stacks.project import ROOT
from stacks.stage import ServingStage


def empty_app(output: Path) -> cdk.App:
    """Make an app with the flags of cdk.json, as the CLI makes it."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return cdk.App(context=context, outdir=str(output))


def every_stage(output: Path) -> cdk.App:
    """Make the app of app.py."""
    app = empty_app(output)
    for stage in load_stages(ROOT / "stages"):
        ServingStage(app, stage.name.capitalize(), stage=stage)
    return app


def synth(output: Path) -> dict[str, dict[str, Any]]:
    """Synthesize every stage; templates by `Dev/Serving`."""
    every_stage(output).synth()
    return {path: json.loads(file.read_text()) for path, file in stack_templates(output)}
