"""The stage `dev`, and all stages' deployments."""

from pathlib import Path
from typing import Any

import pytest

from loraserve.doctor.deployment import Deployment, read
from stacks.config.loading import load_stages
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT


@pytest.fixture(scope="session")
def dev() -> LoadedStage:
    [stage] = load_stages(ROOT / "stages", "dev")
    return stage


@pytest.fixture(scope="session")
def deployments(assembly: Path, templates: dict[str, dict[str, Any]]) -> dict[str, Deployment]:
    """The deployment of each stage, by name."""
    assert templates
    prefix = "assembly-"
    return {folder.name.removeprefix(prefix): read(folder) for folder in assembly.glob(f"{prefix}*")}
