import json
from typing import Any

import pytest

from adapters.engines.architectures import kind_of
from adapters.validation.base_model import BaseModelFacts, InvalidBaseModel
from tests.unit.adapters.validation.building import RecordingFile, safetensors, tensors

CONFIG = json.dumps({"architectures": ["MistralForCausalLM"]}).encode()


def read(*files: bytes, config: bytes = CONFIG) -> BaseModelFacts:
    return BaseModelFacts.read("tiny", config, [RecordingFile(file) for file in files])


def test_layers_are_found_over_all_files_by_the_headers_alone() -> None:
    shard = RecordingFile(tensors({"model.layers.0.self_attn.q_proj.weight": (32, 16)}))
    other = RecordingFile(tensors({"model.layers.1.self_attn.q_proj.weight": (32, 16)}))
    facts = BaseModelFacts.read("tiny", CONFIG, [shard, other])
    assert facts.architecture == "MistralForCausalLM"
    assert facts.layers == {f"model.layers.{layer}.self_attn.q_proj": (32, 16) for layer in range(2)}
    for file in (shard, other):
        assert len(file.reads) == 2
        assert file.reads[1] < len(file.content) - 8


def test_what_no_adapter_changes_is_no_layer() -> None:
    facts = read(
        tensors({"model.norm.weight": (32,), "model.conv.weight": (2, 2, 2), "model.rotary.inv_freq": (4, 4)})
    )
    assert facts.layers == {}


def test_a_head_tied_to_the_embeddings_is_a_layer_of_their_size() -> None:
    embeddings = {"model.embed_tokens.weight": (64, 32)}
    assert read(tensors(embeddings)).layers["lm_head"] == (64, 32)
    assert read(tensors(embeddings | {"lm_head.weight": (70, 32)})).layers["lm_head"] == (70, 32)


@pytest.mark.parametrize(
    ("suffix", "dtype", "known"),
    [
        ("weight", "BF16", True),
        ("weight", "F8_E4M3", True),
        ("weight", "U8", False),  # bitsandbytes, four bits
        ("weight", "I8", False),
        ("qweight", "I32", False),  # GPTQ, AWQ
        ("weight_packed", "I32", False),  # compressed-tensors
    ],
)
def test_the_size_of_a_layer_with_packed_weights_is_not_known(suffix: str, dtype: str, known: bool) -> None:
    width = {"BF16": 2, "I32": 4}.get(dtype, 1)
    facts = read(tensors({f"model.layers.0.mlp.up_proj.{suffix}": (32, 16)}, dtype, width))
    assert facts.layers == {"model.layers.0.mlp.up_proj": (32, 16) if known else None}


@pytest.mark.parametrize(
    "config",
    [{}, {"architectures": []}, {"architectures": None}, {"architectures": [1]}, {"architectures": {}}],
)
def test_a_config_need_not_name_the_architecture(config: Any) -> None:
    assert read(config=json.dumps(config).encode()).architecture is None


def test_files_that_cannot_be_read_are_told_as_the_base_models() -> None:
    with pytest.raises(
        InvalidBaseModel, match=r"^base model 'tiny': its config.json cannot be used: it is not JSON"
    ):
        read(config=b"{")
    with pytest.raises(
        InvalidBaseModel, match=r"^base model 'tiny': its weights file has 0 bytes of tensors"
    ):
        read(safetensors({"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("model.layers.11.self_attn.q_proj", "model.layers.*.self_attn.q_proj"),
        ("model.layers.1.mlp.experts.22.w1", "model.layers.*.mlp.experts.*.w1"),
        ("h2o.w1.layer3", "h2o.w1.layer3"),
        ("0.1", "*.*"),
        ("lm_head", "lm_head"),
    ],
)
def test_a_kind_is_a_path_without_its_numbers(path: str, kind: str) -> None:
    assert kind_of(path) == kind
