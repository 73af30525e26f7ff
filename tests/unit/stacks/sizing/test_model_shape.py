import json
from pathlib import Path

import pytest

from stacks.project import ROOT
from stacks.sizing.known_models import KNOWN_MODELS, known_shape
from stacks.sizing.model_shape import ARCHITECTURES, ModelShape, shape_of_local_model

SAMPLE = ROOT / "samples" / "base"


def counted(shape: ModelShape) -> int:
    """The parameters that a model of this shape has, layer by layer."""
    hidden, head = shape.hidden_size, shape.head_dim
    q, kv = shape.attention_heads * head, shape.kv_heads * head
    layer = 2 * hidden * q + 2 * hidden * kv + 3 * hidden * shape.intermediate_size * shape.experts
    norms = 2 * hidden
    match shape.architecture:
        case "MixtralForCausalLM":
            layer += hidden * shape.experts
        case "Qwen2ForCausalLM":
            layer += q + 2 * kv
        case "Qwen3ForCausalLM":
            norms += 2 * head
        case "Gemma2ForCausalLM":
            norms += 2 * hidden
    return shape.layers * (layer + norms) + hidden + shape.embedding_parameters


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_a_known_models_shape_gives_parameters_that_hub_counts(name: str) -> None:
    shape = KNOWN_MODELS[name]
    assert counted(shape) == shape.parameters
    assert shape.architecture in ARCHITECTURES


def test_a_model_that_is_not_known_has_no_shape() -> None:
    assert known_shape("mistralai/Mistral-7B-Instruct-v0.1") is not None
    assert known_shape("someone/else") is None


def test_the_shape_of_a_local_model_is_read_from_its_files() -> None:
    shape = shape_of_local_model(SAMPLE)
    assert shape is not None
    assert (shape.architecture, shape.layers, shape.hidden_size) == ("MistralForCausalLM", 4, 256)
    assert (shape.attention_heads, shape.kv_heads, shape.head_dim, shape.vocab_size) == (4, 2, 64, 777)
    assert (shape.dtype, shape.tied_embeddings, shape.stored_bytes) == ("bfloat16", True, None)
    assert counted(shape) == shape.parameters


def copy(folder: Path, **changes: object) -> Path:
    config = json.loads((SAMPLE / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").symlink_to(SAMPLE / "model.safetensors")
    return folder


def test_a_quantized_local_model_takes_what_its_files_take(tmp_path: Path) -> None:
    shape = shape_of_local_model(copy(tmp_path, quantization_config={"quant_method": "awq"}))
    assert shape is not None
    assert shape.parameters == 0
    size = (SAMPLE / "model.safetensors").stat().st_size
    assert shape.stored_bytes is not None
    assert 0.9 * size < shape.stored_bytes < size


def test_what_an_older_config_leaves_out_has_transformers_defaults(tmp_path: Path) -> None:
    shape = shape_of_local_model(
        copy(tmp_path, num_key_value_heads=None, head_dim=None, dtype=None, torch_dtype="float16")
    )
    assert shape is not None
    assert (shape.kv_heads, shape.head_dim, shape.dtype) == (4, 64, "float16")


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["MambaForCausalLM"]},
        {"architectures": []},
        {"architectures": None},
        {"num_hidden_layers": "many"},
        {"hidden_size": None},
        {"vocab_size": True},
    ],
)
def test_a_config_that_does_not_tell_the_shape_gives_none(tmp_path: Path, changes: dict[str, object]) -> None:
    assert shape_of_local_model(copy(tmp_path, **changes)) is None


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", [None, "no such thing"])
def test_a_missing_or_damaged_file_gives_none(tmp_path: Path, name: str, damage: str | None) -> None:
    folder = copy(tmp_path)
    (folder / name).unlink()
    if damage is not None:
        (folder / name).write_text(damage)
    assert shape_of_local_model(folder) is None
