"""Tiny models of many architectures, as data: their configs and the adapters to be made for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.models.saved_names import RANK, Saved, as_saved, experts_apart, renamed

#: Rank of the engine's slots. PEFT doubles the rank where it trains gate_proj and up_proj of experts as one.
MAX_RANK = 2 * RANK
#: Names in a model's folder, beside those of its adapters.
BASE, OBSERVED = "base", "observed.json"

#: With weights of this spread, log probabilities differ by 1 to 2; with the default of 0.02 they are nearly
#: equal, and a layer without its adapter would hardly change them.
_SPREAD = 0.2
_TEXT: Mapping[str, Any] = {
    **{"vocab_size": 128, "hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2},
    # vLLM's CPU build has kernels for heads of 32 and more.
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 64},
    **{"initializer_range": _SPREAD, "tie_word_embeddings": False},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
_GEMMA = {**_TEXT, "query_pre_attn_scalar": 32, "sliding_window": 32, "tie_word_embeddings": True}
_VISION: Mapping[str, Any] = {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2},
    **{"image_size": 28, "patch_size": 14},
}


@dataclass(frozen=True, kw_only=True)
class MadeAdapter:
    """An adapter to be made by PEFT."""

    lora: Mapping[str, Any]
    """Arguments of `peft.LoraConfig`."""
    saved: Saved = as_saved
    """Makes the tensors of the file of those that PEFT saves."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """Keys of adapter_config.json written over PEFT's."""
    refused_because: str | None = None
    """Part of the message with which the validation refuses it, although the engine serves it."""


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """A model of one architecture, and adapters for it."""

    config: Mapping[str, Any]
    """Arguments of `transformers.AutoConfig.for_model`."""
    adapters: Mapping[str, MadeAdapter]
    """By a name for messages."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `vllm.LLM`."""
    takes_adapters: bool = True
    """False if the engine does not start with slots for adapters."""


def _of(*modules: str, **lora: Any) -> MadeAdapter:
    return MadeAdapter(lora={"target_modules": list(modules), **lora})


def _adapters(*modules: str, attention: str = "self_attn", inner: str = "model") -> dict[str, MadeAdapter]:
    """Adapters for a language model with these modules, the first of them in `attention`."""
    first, last = modules[0], modules[-1]
    return {
        "some modules": _of(*modules),
        "all-linear": MadeAdapter(lora={"target_modules": "all-linear"}),
        "ranks and alphas by module": _of(
            *modules, rank_pattern={first: 4}, alpha_pattern={last: 32}, use_rslora=True
        ),
        "ranks by an expression": MadeAdapter(
            lora={"target_modules": list(modules), "rank_pattern": {rf".*\.0\.{attention}\.{first}": 4}},
            refused_because="regular expression",
        ),
        "target_modules is an expression": MadeAdapter(lora={"target_modules": rf".*\.{first}"}),
        "one layer": _of(*modules, layers_to_transform=[1]),
        "head": _of(first, "lm_head"),
        "head alone": _of("lm_head"),
        "embeddings": _of(first, "embed_tokens"),
        "head in full": _of(first, modules_to_save=["lm_head"]),
        "target that is not there": _of(first, "Wqkv"),
        "names of the model without its head": MadeAdapter(
            lora={"target_modules": list(modules)}, saved=renamed(rf"model\.{inner}\.", "model.")
        ),
        "layer that is not there": MadeAdapter(
            lora={"target_modules": [first]}, saved=renamed(r"\.1\.", ".2.")
        ),
        "module that is not there": MadeAdapter(
            lora={"target_modules": list(modules)},
            saved=renamed(rf"\b{first}\b", "Wqkv"),
            written={"target_modules": ["Wqkv", *modules[1:]]},
        ),
        "module in another place": MadeAdapter(
            lora={"target_modules": [first]}, saved=renamed(rf"{attention}\.{first}", f"mlp.{first}")
        ),
        "DoRA": _of(first, use_dora=True),
        "bias": _of(first, lora_bias=True),
    }


def _experts(parent: str, gate: str, up: str, down: str) -> dict[str, MadeAdapter]:
    """Adapters of experts and router, which `parent` has in the engine and in the checkpoint."""
    experts = {
        "target_modules": ["q_proj"],
        "target_parameters": ["experts.gate_up_proj", "experts.down_proj"],
    }
    router = {"target_modules": ["q_proj"], "target_parameters": ["gate.weight"]}
    return {
        "experts in one tensor": MadeAdapter(lora=experts),
        "experts, one by one": MadeAdapter(
            lora=experts,
            saved=experts_apart(parent, gate, up, down),
            written={"target_modules": ["q_proj", gate, up, down], "target_parameters": None},
        ),
        "router": MadeAdapter(
            lora=router,
            saved=renamed(r"\.mlp\.", f".{parent}."),
            written={"target_modules": ["q_proj", "gate"], "target_parameters": None},
        ),
        "router, as transformers 5 names it": MadeAdapter(
            lora=router, written={"target_modules": ["q_proj", "gate"], "target_parameters": None}
        ),
    }


def _multimodal() -> dict[str, MadeAdapter]:
    """Adapters of a model whose text part is `model.language_model` in transformers 5."""
    text = {"target_modules": r".*language_model.*\.(q_proj|v_proj|down_proj)"}

    def named(new: str) -> MadeAdapter:
        return MadeAdapter(lora=text, saved=renamed(r"model\.language_model\.", new))

    return {
        "text": MadeAdapter(lora=text),
        "names of transformers 4.50": named("language_model.model."),
        "names of the text model": named("model."),
        "names of the model without its head": named("language_model."),
        "layer that is not there": MadeAdapter(lora=text, saved=renamed(r"layers\.1\.", "layers.2.")),
        "head": MadeAdapter(lora={"target_modules": r"lm_head|.*language_model.*\.q_proj"}),
        "all-linear": MadeAdapter(lora={"target_modules": "all-linear"}),
        "modules by name": _of("q_proj", "v_proj"),
        "vision alone": MadeAdapter(lora={"target_modules": r".*(vision_tower|visual).*\.(q_proj|qkv)"}),
    }


def _llama_like(model_type: str, common: Mapping[str, Any] = _TEXT, **config: Any) -> TinyModel:
    return TinyModel(
        config={**common, "model_type": model_type, **config},
        adapters=_adapters("q_proj", "v_proj", "down_proj"),
    )


def _mixture(model_type: str, experts: Mapping[str, MadeAdapter], **config: Any) -> TinyModel:
    return TinyModel(
        config={**_TEXT, "model_type": model_type, "num_experts_per_tok": 2, **config},
        adapters=_adapters("q_proj", "v_proj") | experts,
    )


MODELS: Mapping[str, TinyModel] = {
    "LlamaForCausalLM": _llama_like("llama"),
    "MistralForCausalLM": _llama_like("mistral"),
    "Qwen2ForCausalLM": _llama_like("qwen2", tie_word_embeddings=True),
    "Qwen3ForCausalLM": _llama_like("qwen3"),
    "Gemma2ForCausalLM": _llama_like("gemma2", _GEMMA),
    "Gemma3ForCausalLM": _llama_like("gemma3_text", _GEMMA),
    "Phi3ForCausalLM": TinyModel(
        config={**_TEXT, "model_type": "phi3"}, adapters=_adapters("qkv_proj", "gate_up_proj", "o_proj")
    ),
    "GPT2LMHeadModel": TinyModel(
        config={
            **{"model_type": "gpt2", "vocab_size": 128, "n_embd": 64, "n_layer": 2, "n_head": 2},
            **{"n_positions": 64, "initializer_range": _SPREAD, "bos_token_id": 1, "eos_token_id": 2},
        },
        adapters={"some modules": _of("c_attn", "c_fc", fan_in_fan_out=True)},
        takes_adapters=False,
    ),
    "MixtralForCausalLM": _mixture(
        "mixtral", _experts("block_sparse_moe", "w1", "w3", "w2"), num_local_experts=4, sliding_window=None
    ),
    "Qwen3MoeForCausalLM": _mixture(
        "qwen3_moe",
        _experts("mlp", "gate_proj", "up_proj", "down_proj"),
        num_experts=4,
        moe_intermediate_size=32,
    ),
    "Qwen2MoeForCausalLM": _mixture(
        "qwen2_moe",
        _experts("mlp", "gate_proj", "up_proj", "down_proj")
        | {"gate of the shared expert": _of("q_proj", "shared_expert_gate")},
        num_experts=4,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=64,
    ),
    "Gemma3ForConditionalGeneration": TinyModel(
        config={
            "model_type": "gemma3",
            "text_config": {**_GEMMA, "model_type": "gemma3_text"},
            "vision_config": {**_VISION, "model_type": "siglip_vision_model"},
            **{"mm_tokens_per_image": 4, "image_token_index": 127},
            **{"boi_token_index": 126, "eoi_token_index": 125},
        },
        adapters=_multimodal(),
        engine={"limit_mm_per_prompt": {"image": 0}},
    ),
    "LlavaForConditionalGeneration": TinyModel(
        config={
            "model_type": "llava",
            "text_config": {**_TEXT, "model_type": "llama"},
            "vision_config": {**_VISION, "model_type": "clip_vision_model", "projection_dim": 32},
            **{"image_token_index": 127, "image_token_id": 127},
        },
        adapters=_multimodal(),
        engine={"limit_mm_per_prompt": {"image": 0}},
    ),
    "Qwen2_5_VLForConditionalGeneration": TinyModel(
        config={
            "model_type": "qwen2_5_vl",
            "text_config": {
                **_TEXT,
                "model_type": "qwen2_5_vl_text",
                "rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 1e4},
            },
            "vision_config": {
                **{"depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2},
                **{"patch_size": 14, "out_hidden_size": 128, "fullatt_block_indexes": [0]},
            },
            **{"image_token_id": 127, "video_token_id": 126},
            **{"vision_start_token_id": 125, "vision_end_token_id": 124},
        },
        adapters=_multimodal(),
        engine={"limit_mm_per_prompt": {"image": 0, "video": 0}},
    ),
}
