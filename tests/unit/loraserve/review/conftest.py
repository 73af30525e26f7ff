"""The synthesized production stage, once."""

from dataclasses import replace

import pytest

from loraserve.review.assembly import Stage, read_assembly
from stacks.config.loading import load_stages
from stacks.project import ROOT
from stacks.stage import ServingStage
from tests.harness.assembly import empty_app


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    output = tmp_path_factory.mktemp("assembly")
    app = empty_app(output)
    [stage] = [each for each in load_stages(ROOT / "stages") if each.name == "prod"]
    ServingStage(app, "Prod", stage=stage)
    app.synth()
    return replace(read_assembly(output).stages["Prod"], facts=None)
