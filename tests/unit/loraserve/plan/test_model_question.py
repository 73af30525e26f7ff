"""The question of a model without a stage, which is that of the command without options."""

import json

import pytest
from typer.testing import CliRunner

from loraserve.cli.commands import app
from loraserve.plan.document import plan_document
from loraserve.plan.errors import PlanError
from loraserve.plan.model_question import model_question
from loraserve.plan.planning import make_plan

MISTRAL = "mistralai/Mistral-7B-Instruct-v0.1"


def test_its_plan_is_the_commands() -> None:
    options = [
        "--engine",
        "vllm",
        "--rank",
        "16",
        "--input",
        "256",
        "--output",
        "128",
        "--popularity",
        "uniform",
    ]
    done = CliRunner().invoke(app, ["plan", "--model", MISTRAL, *options, "--json"])
    plan = make_plan(model_question(MISTRAL, engine="vllm", tokens=(256, 128)))
    assert json.loads(json.dumps(plan_document(plan))) == json.loads(done.stdout)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(PlanError, match="Mistral-7B-Instruct"):
        model_question("mistralai/Mistral-7B-Instruct", engine="vllm", tokens=(60, 64))
