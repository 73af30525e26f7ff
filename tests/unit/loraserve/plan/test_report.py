"""Text, JSON, stage file and pictures of a plan."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from loraserve.plan.basis import basis_of_stage
from loraserve.plan.configuration import Configuration, evaluate
from loraserve.plan.document import plan_document
from loraserve.plan.errors import PlanError
from loraserve.plan.planning import Plan, make_plan
from loraserve.plan.plots import write_plots
from loraserve.plan.question import Load
from loraserve.plan.search import FEW_MODULES
from loraserve.plan.stage_yaml import stage_yaml
from loraserve.plan.text import plan_text
from stacks.config.loading import load_stages
from stacks.config.memory_check import demand_of
from stacks.config.stage_config import StageConfig
from stacks.project import ROOT
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.popularity import uniform
from tests.unit.loraserve.plan.questions import MISTRAL, question


@pytest.fixture(scope="module")
def plan() -> Plan:
    asked = question(tokens=(2000, 500), load=Load(rate=2))
    return make_plan(asked, slots=[1, 8, 50, 64], ranks=[16, 8], instances=["ml.g5.xlarge", "ml.g6.12xlarge"])


def figures(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of a document with its path, but those of figures with a unit and an origin."""
    if isinstance(node, dict) and {"unit", "origin"} <= set(node):
        assert node["origin"] in ("computed", "measured", "assumed"), path
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        where = f"{path}.{key}"
        if isinstance(value, dict | list):
            yield from figures(value, where)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield where, value


def test_every_number_of_the_document_has_an_origin(plan: Plan) -> None:
    document = json.loads(json.dumps(plan_document(plan), allow_nan=False))
    # Settings are the question's, not figures.
    bare = [where for where, _ in figures(document) if ".settings." not in where and where != ".version"]
    assert bare == []
    assert document["now"]["fits"]
    assert [row["fits"] for row in document["slots"]] == [True, True, True, False] + [True] * 4
    assert document["slots"][3]["reason"]
    assert document["now"]["batch"]["limit"] == "KV cache"
    assert document["now"]["fleet"]["instances"]["value"] >= 1
    assert document["now"]["memory"]["engine"]["origin"] == "assumed"


def test_the_text_has_the_answer(plan: Plan) -> None:
    text = plan_text(plan, width=120)
    unbroken = plan_text(plan, width=10_000)
    for wanted in (
        "Mistral-7B-Instruct-v0.1 with vLLM",
        "Assumed: 2,000 input and 500 output tokens, 50 adapters",
        "CUDA graphs 1.20 to 1.50 (assumed)",
        "GiB of each GPU are missing",
        "2 requests per second (assumed) take",
        "Bigger batch: ",
        "ml.g6.12xlarge",
        "upper bounds",
        "Best single changes:\n1. ",
        "Stage file, with ",
    ):
        assert wanted in unbroken, wanted
    assert max(map(len, re.sub("(?m)^(slots|instance|\\d|ml\\.).*", "", text).splitlines())) <= 120
    assert (
        plan_text(make_plan(question(instance=INSTANCE_TYPES["ml.g4dn.xlarge"]))).count("GiB of each GPU")
        >= 2
    )


def test_the_engines_share_of_the_memory_is_shown_where_it_is_not_all() -> None:
    vllm, lorax = (
        plan_text(make_plan(question(engine=engine, slots=8), slots=[8])) for engine in ("vllm", "lorax")
    )
    assert "; 20.30 of 22.06 are the engine's." in " ".join(vllm.split())
    assert "are the engine's" not in lorax


def test_without_b_star_reading_binds_at_any_batch() -> None:
    asked = question(tokens=(2000, 500), slots=8, instance=INSTANCE_TYPES["ml.g6e.xlarge"])
    text = " ".join(plan_text(make_plan(asked, slots=[8])).split())
    assert "different adapters; reading binds at any batch, and" in text
    assert "B* = " not in text


def test_the_memory_bar_is_as_long_as_the_gpus_memory(plan: Plan) -> None:
    [bar] = [line for line in plan_text(plan).splitlines() if line.startswith("GPU memory")]
    assert len(re.sub("[^█▓▒░·]", "", bar)) == 60
    assert bar.count("█") == round(60 * 13.49 / 22.06)


DEMANDS: list[dict[str, Any]] = [
    {},
    {"engine": "lorax", "slots": 20, "slo": "e2e=8s"},
    {"adapter_target_modules": FEW_MODULES},
    {"instance": INSTANCE_TYPES["ml.g6.12xlarge"], "tensor_parallel": 4},
    {"quantize": "fp8_per_tensor", "slo": "e2e=55s"},
    {"tokens": (6000, 3000), "slots": 2, "shares": uniform(2)},
    {"tokens": (100, 20), "slots": 2, "max_input_tokens": 128, "max_total_tokens": 160},
]


@pytest.mark.parametrize("settings", DEMANDS, ids=str)
def test_the_stage_file_is_the_planned_configuration(settings: dict[str, Any]) -> None:
    asked = question(**settings)
    document = yaml.safe_load(stage_yaml(asked, asked.demand))
    stage = {"base_model": {"name": MISTRAL, "revision": "0" * 40}, "adapters": "adapters.yaml"}
    config = StageConfig.model_validate(stage | document)
    assert demand_of(config, None) == asked.demand
    assert config.engine.max_new_tokens >= min(asked.traffic.output_tokens, 1024)
    assert config.autoscaling.target is None
    assert config.autoscaling.typical_input_tokens == asked.traffic.input_tokens
    assert config.autoscaling.typical_output_tokens == asked.traffic.output_tokens
    assert config.autoscaling.slo_seconds == (None if settings.get("slo") == "e2e=55s" else asked.slo.e2e_s)
    # The defaults of a stage file are left out.
    assert "dtype" not in document["engine"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "stages").glob("*.yaml")))
def test_the_stage_file_keeps_what_the_plan_does_not_change(name: str) -> None:
    [stage] = load_stages(ROOT / "stages", name)
    basis = basis_of_stage(stage)
    asked = question(tokens=basis.typical_tokens)
    asked = replace(asked, demand=basis.demand, other_seqs=basis.other_seqs, sections=basis.sections)
    written = yaml.safe_load((ROOT / "stages" / f"{name}.yaml").read_text())
    sections = {key: value for key, value in written.items() if key not in basis.sections}

    def planned(slots: int) -> StageConfig:
        demand = replace(basis.demand, max_active_adapters=slots)
        return StageConfig.model_validate(sections | yaml.safe_load(stage_yaml(asked, demand)))

    own = stage.config.engine.max_active_adapters
    assert planned(own).model_dump() == stage.config.model_dump()
    assert planned(own + 1).engine.max_active_adapters == own + 1
    assert planned(own + 1).autoscaling == stage.config.autoscaling


def test_the_stage_file_of_a_plan_fits(plan: Plan) -> None:
    assert plan.chosen is not None
    assert isinstance(evaluate(plan.question, plan.chosen.demand), Configuration)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    asked = question(slots=4, shares=uniform(4))
    paths = write_plots(asked, tmp_path / "pictures")
    assert [path.stem for path in paths] == [
        "kv-by-slots", "cost-by-slots", "throughput-by-batch", "break-even",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_pictures_of_a_model_that_does_not_fit_are_empty(tmp_path: Path) -> None:
    asked = replace(question(shares=()), demand=question(instance=INSTANCE_TYPES["ml.g4dn.xlarge"]).demand)
    assert len(write_plots(asked, tmp_path)) == 4


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlanError, match=r"^--plot: .* cannot be written \(.*\): name another folder$"):
        write_plots(question(), tmp_path / "file")
