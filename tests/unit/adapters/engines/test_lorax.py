"""LoRAX's record, from its source at v0.12.1: the layers that it looks up in an adapter, by PEFT's names."""

import json

import pytest

from adapters.engines.registry import ENGINES
from adapters.errors import InvalidAdapter
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from tests.unit.adapters.validation.building import CONFIG, RecordingFile, pair, tensors

RECORD = ENGINES["lorax"]
#: Checkpoints of these have no `transformer.` before the names: openai-community/gpt2, bigscience/bloom-560m.
WITHOUT_PREFIX = ("GPT2LMHeadModel", "BloomForCausalLM")
#: Layers of models with one block, whose class of LoRAX passes over them or fails to load them.
NOT_SERVED = {
    "Gemma2ForCausalLM": ["lm_head", "model.embed_tokens"],
    "GemmaForCausalLM": ["lm_head"],
    "LlamaForCausalLM": ["model.embed_tokens", "model.layers.0.self_attn.rotary_emb", "layers.0.mlp.up_proj"],
    "CohereForCausalLM": ["model.layers.0.mlp.up_proj", "model.layers.0.mlp.gate_proj"],
    "MixtralForCausalLM": [
        "lm_head",
        "model.layers.0.block_sparse_moe.gate",
        "model.layers.0.block_sparse_moe.experts.0.w1",
    ],
    "Phi3ForCausalLM": ["lm_head", "model.layers.0.self_attn.q_proj"],
    "GPT2LMHeadModel": ["lm_head", "h.0.attn.c_attn"],
    "BloomForCausalLM": ["lm_head", "h.0.self_attention.dense"],
    "DbrxForCausalLM": ["lm_head", "transformer.blocks.0.norm_attn_norm.attn.Wqkv"],
    "MllamaForConditionalGeneration": [
        "language_model.lm_head",
        "language_model.model.layers.0.cross_attn.q_proj",
        "language_model.model.layers.0.mlp.up_proj",
        "vision_model.transformer.layers.0.self_attn.q_proj",
        "model.language_model.layers.0.self_attn.q_proj",
    ],
}


def check(architecture: str, layers: list[str], checkpoint: list[str] | None = None) -> None:
    """Check an adapter of these layers, all of 32 features, for a base model that has them."""
    modules = sorted({layer.rpartition(".")[2] for layer in layers})
    shapes = {}
    for layer in layers:
        shapes |= pair(layer, 8, (32, 32))
    check_adapter(
        "otter",
        json.dumps(CONFIG | {"target_modules": modules}).encode(),
        RecordingFile(tensors(shapes)),
        Rules("lorax", 64, "tiny-mistral"),
        BaseModelFacts(architecture, dict.fromkeys(checkpoint or layers, (32, 32))),
    )


def layers_of(architecture: str, blocks: int = 2) -> list[str]:
    """All layers that the record lists, in a model with some blocks."""
    kinds = RECORD.architectures[architecture].layers
    assert kinds
    return sorted({kind.replace("*", str(block)) for kind in kinds for block in range(blocks)})


@pytest.mark.parametrize("architecture", RECORD.architectures)
def test_all_listed_layers_are_valid_together(architecture: str) -> None:
    layers = layers_of(architecture)
    stored = [layer.removeprefix("transformer.") for layer in layers]
    check(architecture, layers, stored if architecture in WITHOUT_PREFIX else layers)


@pytest.mark.parametrize(
    ("architecture", "layer"), [(name, layer) for name, layers in NOT_SERVED.items() for layer in layers]
)
def test_layers_that_lorax_passes_over_are_refused(architecture: str, layer: str) -> None:
    with pytest.raises(InvalidAdapter, match=f"it changes {layer}, (for which LoRAX has no slot|which tiny)"):
        check(architecture, [*layers_of(architecture, blocks=1), layer])


@pytest.mark.parametrize(
    "architecture",
    [
        "Qwen3ForCausalLM",
        "Gemma3ForCausalLM",
        "FalconForCausalLM",
        "OPTForCausalLM",
        "LlavaForConditionalGeneration",
    ],
)
def test_models_for_which_lorax_loads_no_adapter_are_refused(architecture: str) -> None:
    with pytest.raises(InvalidAdapter, match=f"LoRAX 0.12.1 serves no adapters for '{architecture}'"):
        check(architecture, ["model.layers.0.self_attn.q_proj"])


def test_the_layers_of_cross_attention_are_no_gap_in_mllama() -> None:
    """Its blocks with cross attention have no self_attn: all of the others are all that there are."""
    layers = [f"language_model.model.layers.{block}.self_attn.q_proj" for block in (0, 1, 3)]
    cross = "language_model.model.layers.2.cross_attn.q_proj"
    check("MllamaForConditionalGeneration", layers, [*layers, cross])
    with pytest.raises(InvalidAdapter, match="in 2 of 3 layers: LoRAX leaves it out of all"):
        check("MllamaForConditionalGeneration", layers[:2], [*layers, cross])
