"""Environments that the container would refuse are refused at synth, by the key of the stage file."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from container.gateway.settings import Settings, SettingsError, read_settings
from container.lorax.command import lorax_environment
from container.vllm.command import vllm_launch
from stacks.config.checks import problems
from stacks.config.container_check import ADDED_LATER
from stacks.config.container_environment import KEYS, container_environment
from stacks.config.derived import environment, has_mounted_model
from stacks.config.loading import load_stage, load_stages
from stacks.config.sections.engine import Engine, Gateway
from stacks.config.stage_config import StageConfig
from stacks.project import ROOT
from tests.policy.matrix import OVERLAYS, merged, write

STAGE: dict[str, Any] = {
    "base_model": {"revision": "9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e"},
    "adapters": "adapters.yaml",
}
#: The keys of both sections that become variables, with each key's variable.
VARIABLES = {key: variable for variable, key in KEYS.items() if not key.startswith("base_model.")}
#: Values around each bound of either side, and of other kinds.
VALUES: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 8, 9, 59, 60, 64, 65, 128, 129, 320, 321, 512, 513, 1024, 1025, 3600, 3601, 65536),
    *(0.0, 1e-9, 0.5, 0.999999999, 0.9999999999999999, 1.0, 59.1, 3600.5),
    *(
        "",
        " ",
        "nonsense",
        "awq",
        "AWQ",
        "fp8-kv",
        "mxfp4",
        "exl2",
        "float16",
        "float32",
        "true",
        True,
        False,
    ),
    *([], [""], ["q_proj"], ["model.q_proj"], ["q_proj "], ["q_proj,v_proj"], ["q-proj"], ["q_proj", ""]),
)


#: By engine, the code that makes the engine's command and environment and refuses settings.
STARTS: dict[str, Callable[[Settings, Mapping[str, str]], object]] = {
    "lorax": lorax_environment,
    "vllm": lambda settings, _: vllm_launch(settings),
}


def start(engine: str, variables: Mapping[str, str]) -> None:
    """Read the variables as the container does before it starts the engine."""
    STARTS[engine](read_settings(variables), variables)


def text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def checked(overlay: dict[str, Any]) -> StageConfig:
    """A stage as `load_stage` would take it; raises `ValueError` for what it would refuse."""
    config = StageConfig.model_validate(merged(STAGE, overlay))
    for problem in problems(config):
        raise ValueError(problem)
    return config


@pytest.fixture(scope="module")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageConfig]:
    folder = tmp_path_factory.mktemp("matrix") / "stages"
    folder.mkdir()
    return {path.stem: load_stage(path).config for path in write(folder)}


@pytest.mark.parametrize("name", [overlay.name for overlay in OVERLAYS])
def test_the_container_takes_every_overlay_of_the_matrix(name: str, overlays: dict[str, StageConfig]) -> None:
    config = overlays[name]
    start(config.engine.name, environment(config) | ADDED_LATER)


@pytest.mark.parametrize("engine", ["lorax", "vllm"])
@pytest.mark.parametrize("key", VARIABLES)
def test_what_the_container_refuses_is_refused_at_synth(engine: str, key: str) -> None:
    section, name = key.split(".")
    good = environment(StageConfig.model_validate(merged(STAGE, {"engine": {"name": engine}})))
    # Synth derives it from other keys, so with another value of theirs it is another one.
    good.pop("MAX_CPU_ADAPTERS", None)
    for value in VALUES:
        try:
            start(engine, good | ADDED_LATER | {VARIABLES[key]: text(value)})
        except SettingsError:
            overlay = merged({"engine": {"name": engine}}, {section: {name: value}})
            with pytest.raises(ValueError, match=rf"(?m)^{section}[.:\n]|Value error, {section}[.:]"):
                checked(overlay)


def test_each_setting_with_a_bound_is_among_those_that_the_container_refuses() -> None:
    """Else the test above would be empty for it."""
    required = {"HF_MODEL_ID": "mistral", "ADAPTER_BUCKET": "bucket"}
    free = {"engine.quantize"}  # it depends on the engine
    for key, variable in VARIABLES.items():
        if key in free:
            continue
        refused = 0
        for value in VALUES:
            try:
                read_settings(required | {variable: text(value)})
            except SettingsError:
                refused += 1
        assert refused, key


TOKENS = ("default_new_tokens", "max_new_tokens", "max_input_tokens", "max_total_tokens")
ANY_TOKENS = st.lists(st.integers(-1, 9000), min_size=4, max_size=4)
#: Some of the keys: mostly values that one engine or the other takes, so that many stages are loaded.
ENGINES = st.fixed_dictionaries(
    {"name": st.sampled_from(["lorax", "vllm"])},
    optional={
        "max_adapter_rank": st.integers(-1, 600) | st.integers(1, 128),
        "adapter_memory_fraction": st.floats(-0.1, 1.1) | st.floats(0.9999999999999, 1),
        "quantize": st.text(max_size=3) | st.sampled_from(["awq", "fp8", "eetq", "mxfp4", "exl2"]),
        "dtype": st.sampled_from(["float16", "bfloat16"]),
        "adapter_target_modules": st.lists(
            st.text(max_size=4) | st.sampled_from(["q_proj", "v"]), max_size=2
        ),
        "max_active_adapters": st.integers(-1, 1100),
        "tool_call_parser": st.text(max_size=3) | st.sampled_from(["hermes", "llama3_json"]),
        "arguments": st.dictionaries(
            st.text(max_size=4)
            | st.sampled_from(["compile", "seed", "max_num_seqs", "max-batch-total-tokens", "block-size"]),
            st.booleans() | st.integers(0, 9000) | st.floats() | st.text(max_size=3) | st.none(),
            max_size=2,
        ),
    },
)


@settings(max_examples=500)
@given(engine=ENGINES, tokens=ANY_TOKENS | ANY_TOKENS.map(sorted) | st.none())
def test_what_synth_takes_the_container_takes(engine: dict[str, Any], tokens: list[int] | None) -> None:
    given = engine | (dict(zip(TOKENS, tokens, strict=True)) if tokens else {})
    try:
        config = checked({"engine": given})
    except ValueError:
        return
    start(engine["name"], environment(config) | ADDED_LATER)


def test_every_key_of_engine_and_gateway_is_a_setting_of_the_container() -> None:
    keys = {f"engine.{name}" for name in Engine.model_fields if name != "name"}
    keys |= {f"gateway.{name}" for name in Gateway.model_fields}
    assert set(VARIABLES) == keys
    assert set(KEYS) <= {field.alias for field in Settings.model_fields.values()}


def test_a_stage_files_defaults_are_the_containers() -> None:
    config = StageConfig.model_validate(STAGE)
    given = container_environment(config.engine, config.gateway, config.base_model, offline=False)
    with_defaults = read_settings({**given, **ADDED_LATER})
    without = read_settings({"HF_MODEL_ID": config.base_model.name, **ADDED_LATER})
    assert with_defaults.model_copy(update={"model_revision": None}) == without


def test_the_stand_ins_are_for_what_the_stacks_add(templates: dict[str, Any]) -> None:
    for stage in load_stages(ROOT / "stages"):
        template = templates[f"{stage.name.capitalize()}/Serving"]
        [model] = (r for r in template["Resources"].values() if r["Type"] == "AWS::SageMaker::Model")
        given = model["Properties"]["PrimaryContainer"]["Environment"]
        assert given.keys() == environment(stage.config).keys() | ADDED_LATER.keys()
        assert given.items() >= environment(stage.config).items()
        assert (given.get("HF_HUB_OFFLINE") == "1") == has_mounted_model(stage.config)


@pytest.mark.parametrize(
    "module",
    ["stacks.config.stage_config", "container.lorax.settings_check", "container.vllm.settings_check"],
)
def test_the_containers_reader_needs_pydantic_only(module: str) -> None:
    heavy = ("aws_cdk", "boto3", "botocore", "aiohttp", "uvloop", "vllm", "torch", "transformers")
    script = f"import sys, {module}; print(*set(sys.modules) & set({heavy}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_a_share_with_many_digits_reaches_the_container_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "adapters.yaml").write_text("adapters: []\n")
    (tmp_path / "dev.yaml").write_text(
        yaml.safe_dump(merged(STAGE, {"engine": {"adapter_memory_fraction": 0.12345678}}))
    )
    config = load_stage(tmp_path / "dev.yaml").config
    assert environment(config)["ADAPTER_MEMORY_FRACTION"] == "0.12345678"
