"""Fixtures of more than one folder of tests: one synth of all stages, shared."""

import json
import os
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from hypothesis import settings

from loraserve.diff import stack_templates
from stacks.config import load_stages
from stacks.project import ROOT
from stacks.stage import ServingStage

# jsii runs the first `node` that it finds: the pinned one, whatever else the machine has.
os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"

# The same examples in every run, and no verdict on how fast this machine is just now.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def empty_app(output: Path) -> cdk.App:
    """An app with the flags of cdk.json, as the CLI makes it."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return cdk.App(context=context, outdir=str(output))


def every_stage(output: Path) -> cdk.App:
    """The app of app.py."""
    app = empty_app(output)
    for stage in load_stages(ROOT / "stages"):
        ServingStage(app, stage.name.capitalize(), stage=stage)
    return app


def synth(output: Path) -> dict[str, dict[str, Any]]:
    """Synthesize every stage; templates by `Dev/Serving`."""
    every_stage(output).synth()
    return {path: json.loads(file.read_text()) for path, file in stack_templates(output)}


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the cloud assembly of `templates`."""
    return tmp_path_factory.mktemp("assembly")


@pytest.fixture(scope="session")
def templates(assembly: Path) -> dict[str, dict[str, Any]]:
    """Every template of every stage."""
    return synth(assembly)
