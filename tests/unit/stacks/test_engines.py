"""Engines are records: all registries have the same ones, nothing else names one, and a third one is a file."""

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.engines import lorax, vllm
from adapters.engines.record import FEATURES
from adapters.engines.registry import ENGINES
from adapters.errors import InvalidAdapter
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from loraserve.diff import stack_templates
from stacks.config.base_images import read_lock
from stacks.config.checks import warnings
from stacks.config.container_check import READERS
from stacks.config.loading import load_stage
from stacks.project import ROOT
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.hardware import hardware_problem
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.stage import ServingStage
from stacks.typed_yaml import ConfigError
from tests.harness.assembly import empty_app
from tests.harness.rooms import ROOMS
from tests.unit.adapters.validation.building import CONFIG, RecordingFile, shapes
from tests.unit.adapters.validation.building import tensors as file_with
from tests.unit.stacks import third_engine

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/tern@sha256:{'0' * 64}"
REVISION = "9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e"

#: The files that may name an engine in code: its record in each room, its container, and the registries.
OWN = ("adapters/engines/", "stacks/sizing/engines/", "container/lorax/", "container/vllm/")
REGISTRIES = ("stacks/config/container_check.py",)
SHARED = [
    file
    for room in ROOMS
    if room not in ("benchmarks", "samples")
    for file in sorted((ROOT / room).rglob("*.py"))
    if not file.relative_to(ROOT).as_posix().startswith((*OWN, *REGISTRIES))
]


# The registries.


def test_every_registry_has_the_same_engines() -> None:
    assert list(ENGINES) == list(MEMORY) == list(READERS) == sorted(read_lock())
    assert {path.parent.name for path in (ROOT / "container").glob("*/Dockerfile")} == set(ENGINES)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_record_is_of_the_engine_it_is_registered_for(engine: str) -> None:
    assert ENGINES[engine].name == engine
    assert read_lock()[engine].tag.removeprefix("v") == ENGINES[engine].version
    assert MEMORY[engine].quantization in ENGINES[engine].quantizations
    assert (
        MEMORY[engine].halved_kv | MEMORY[engine].native_only.keys() <= ENGINES[engine].quantizations.keys()
    )


@pytest.mark.parametrize("feature", FEATURES)
def test_a_record_that_leaves_a_feature_out_is_an_error(feature: str) -> None:
    known = {name: effect for name, effect in third_engine.RULES.features.items() if name != feature}
    with pytest.raises(ValueError, match=f"^the record of Tern has no entry for the feature {feature}$"):
        replace(third_engine.RULES, features=known)


def test_a_record_with_a_feature_that_nothing_checks_is_an_error() -> None:
    with pytest.raises(ValueError, match="^the record of Tern has an unknown feature use_tora$"):
        replace(third_engine.RULES, features={**third_engine.RULES.features, "use_tora": None})


# No branch elsewhere.


def engine_names(node: ast.expr) -> Iterator[str]:
    """The engines that an expression names: by a text, or by a constant such as `LORAX`."""
    for inner in ast.walk(node):
        name = inner.value if isinstance(inner, ast.Constant) else getattr(inner, "id", None)
        if isinstance(name, str) and name.lower() in ENGINES:
            yield name


def branches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Comparisons with an engine's name, matches of it, and mappings by it: line and name."""
    for node in ast.walk(tree):
        named: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            named = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            named = [node.value]
        elif isinstance(node, ast.Dict):
            named = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Subscript):
            named = [node.slice]
        yield from ((getattr(node, "lineno", 0), name) for part in named for name in engine_names(part))


@pytest.mark.parametrize(
    "code",
    [
        f"engine == {lorax.RULES.name!r}",
        f"{vllm.RULES.name!r} != rules.engine",
        'name in {"lorax", "tgi"}',
        "engine is LORAX",
        'x = {"vllm": 1}',
        'Literal["lorax", "vllm"]',
        'match name:\n    case "vllm":\n        pass',
    ],
)
def test_a_branch_by_engine_is_found(code: str) -> None:
    assert list(branches(ast.parse(code)))


@pytest.mark.parametrize("file", SHARED, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nothing_but_its_own_files_asks_for_an_engine_by_name(file: Path) -> None:
    assert list(branches(ast.parse(file.read_text()))) == []


def test_there_are_shared_files() -> None:
    assert len(SHARED) > 100


# A third engine.


def stage_file(folder: Path, **more: Any) -> Path:
    """A stage of the third engine with one adapter of the Hub."""
    source = f"hf://acme/otter@{REVISION}"
    (folder / "adapters.yaml").write_text(yaml.safe_dump({"adapters": [{"name": "otter", "source": source}]}))
    stage: dict[str, Any] = {
        "engine": {"name": third_engine.NAME, "max_adapter_rank": 32},
        "image": IMAGE,
        "base_model": {"revision": REVISION},
        "adapters": "adapters.yaml",
    }
    path = folder / "tern.yaml"
    path.write_text(yaml.safe_dump(stage | more))
    return path


def test_a_third_engine_takes_less_than_100_lines() -> None:
    assert len(Path(third_engine.__file__).read_text().splitlines()) < 100


def test_a_third_engine_is_synthesized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    third_engine.register(monkeypatch)
    stage = load_stage(stage_file(tmp_path))
    assert list(warnings(stage)) == []
    app = empty_app(tmp_path / "out")
    ServingStage(app, "Tern", stage=stage)
    app.synth()
    templates = {path: json.loads(file.read_text()) for path, file in stack_templates(tmp_path / "out")}
    assert sorted(templates) == [
        f"Tern/{name}" for name in ("AdapterStore", "Observability", "Scaling", "Serving")
    ]
    resources = templates["Tern/Serving"]["Resources"].values()
    [model] = [r["Properties"] for r in resources if r["Type"] == "AWS::SageMaker::Model"]
    assert model["PrimaryContainer"]["Image"] == IMAGE
    # No variable for a setting that has no effect on it.
    assert "ADAPTER_MEMORY_FRACTION" not in model["PrimaryContainer"]["Environment"]
    assert model["PrimaryContainer"]["Environment"]["MAX_ADAPTER_RANK"] == "32"
    # The AMI for its CUDA, not for another engine's.
    [config] = [r["Properties"] for r in resources if r["Type"] == "AWS::SageMaker::EndpointConfig"]
    [variant] = config["ProductionVariants"]
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-gpu-3-1"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"engine": {"name": "tern", "quantize": "awq"}}, "engine.quantize: 'awq': give one that Tern knows: int4, int5"),
        ({"engine": {"name": "tern", "adapter_memory_fraction": 0.2}}, "engine: adapter_memory_fraction has no effect with name: tern, leave it out: Tern swaps adapters to the host"),
        ({"engine": {"name": "tern", "max_active_adapters": 512}}, "may use 19.9 (A10G 22.06 GiB, of which Tern uses 90% = 19.9 GiB; "),
        ({"engine": {"name": "tern", "max_active_adapters": 512}}, "adapters 1 MiB per rank = 32.0 GiB, room for 512"),
        ({"engine": {"name": "tern", "max_active_adapters": 512}}, "write engine.max_active_adapters: 1; or endpoint.instance_type: ml.p5.4xlarge"),
    ],
)  # fmt: skip
def test_a_third_engines_own_rules_apply_to_its_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], message: str
) -> None:
    third_engine.register(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        load_stage(stage_file(tmp_path, **more))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "rank", "message"),
    [
        ({}, 16, None),
        ({"use_dora": True}, 16, None),
        ({"use_rslora": True}, 16, "Tern does not load such an adapter; train without use_rslora, or write engine.name: vllm"),
        ({"bias": "all"}, 16, "bias to 'all', and Tern does not load such an adapter"),
        ({}, 8, "its rank is 8; Tern serves only 16, 32 on 1 GPU\\(s\\): .*; train with rank 16 or 32, or write engine.name: lorax or engine.name: vllm"),
    ],
)  # fmt: skip
def test_a_third_engines_adapters_are_checked_by_its_record(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], rank: int, message: str | None
) -> None:
    third_engine.register(monkeypatch)
    config = json.dumps(CONFIG | {"r": rank} | change).encode()
    weights, rules = RecordingFile(file_with(shapes(rank))), Rules(third_engine.NAME, 32, "tiny-mistral")
    if message is None:
        check_adapter("otter", config, weights, rules)
    else:
        with pytest.raises(InvalidAdapter, match=message):
            check_adapter("otter", config, weights, rules)


def test_a_remedy_names_the_third_engine_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    third_engine.register(monkeypatch)
    for rank, remedy in (
        (16, "train without use_dora, or write engine.name: tern$"),
        (8, "train without use_dora$"),
    ):
        config = json.dumps(CONFIG | {"use_dora": True, "r": rank}).encode()
        weights = RecordingFile(file_with(shapes(rank)))
        with pytest.raises(InvalidAdapter, match=remedy):
            check_adapter("otter", config, weights, Rules("vllm", 64, "tiny-mistral"))
    problem = hardware_problem("lorax", INSTANCE_TYPES["ml.g7e.2xlarge"], None, None)
    assert problem is not None
    assert problem.endswith(" or ml.p5en, or engine.name: vllm, or engine.name: tern")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("rules", "engine.name: 'tern': write lorax or vllm"),
        ("memory", "engine.name: 'tern' has no memory record: add it to MEMORY in stacks/sizing/engines/registry.py"),
        ("reader", "engine.name: 'tern' has no settings check: add it to READERS in stacks/config/container_check.py"),
    ],
)  # fmt: skip
def test_an_engine_without_one_of_its_parts_is_refused_by_the_parts_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, message: str
) -> None:
    third_engine.register(monkeypatch, without=part)
    path = stage_file(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_stage(path)
    assert str(caught.value) == f"{path}: {message}"


def test_each_registry_is_a_part() -> None:
    assert [registry for registry, _ in third_engine.PARTS.values()] == [ENGINES, MEMORY, READERS]


def test_an_engine_without_dockerfile_and_base_image_needs_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third_engine.register(monkeypatch)
    with pytest.raises(ConfigError, match="engine.name: 'tern' has no container/tern/Dockerfile: add it, or"):
        load_stage(stage_file(tmp_path, image="asset"))
    with pytest.raises(
        ConfigError,
        match=r"images\.lock: tern: missing; write it, with keys such as repository, tag, digest$",
    ):
        read_lock()


def test_a_misspelt_engine_is_answered_with_the_right_one(tmp_path: Path) -> None:
    path = stage_file(tmp_path, engine={"name": "vlm"})
    with pytest.raises(ConfigError) as caught:
        load_stage(path)
    assert str(caught.value) == (f"{path}: engine.name: 'vlm': write lorax or vllm, did you mean 'vllm'")
