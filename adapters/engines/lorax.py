"""Facts of LoRAX 0.12.1 (`server/` of predibase/lorax at that tag).

Of adapter_config.json it reads `r`, `lora_alpha`, `target_modules`, `fan_in_fan_out` (`adapters/lora.py`,
`LoraConfig.load`). It pins peft 0.4.0, which copies known keys alone, so its `use_rslora` is always false. Of
the tensors it looks up lora_A and lora_B of the modules that it knows (`map_weights_for_model`). The rest is
dropped silently.
"""

from __future__ import annotations

from adapters.engines.architectures import ArchitectureFacts, kinds
from adapters.engines.record import FEATURES, IGNORES, EngineRules

#: Values of --dtype.
DTYPES = ("float16", "bfloat16")
#: The launcher's prefill limit, if none is given, is the longest prompt and this, in tokens.
PREFILL_MARGIN = 50

#: Ranks with kernels (`punica_kernels/bgmv/bgmv_config.h`, decoding; `sgmv_flashinfer/sgmv_config.h`,
#: prompts). LoRAX pads ranks up to 8 per GPU and to multiples of 16 (`utils/punica.py`), writes the padded
#: rank into the adapter's config, and divides alpha by that for all modules but the first: silently wrong
#: answers (`adapters/lora.py`, LoraWeights.load; seen by running it).
_RANKS = (8, 16, 32, 64, 128)


def _model(blocks: str, head: str = "", **modules: str) -> ArchitectureFacts:
    """Layers by the part of a block that they are in; `blocks` is the path of the blocks of the model."""
    return ArchitectureFacts(
        kinds({f"{blocks}.*.{part}": names for part, names in modules.items()} | {"": head})
    )


_ATTENTION = "q_proj k_proj v_proj o_proj"
_MLP = "gate_proj up_proj down_proj"
_LLAMA = _model("model.layers", head="lm_head", self_attn=_ATTENTION, mlp=_MLP)
_GEMMA = _model("model.layers", self_attn=_ATTENTION, mlp=_MLP)

RULES = EngineRules(
    name="lorax",
    title="LoRAX",
    refused_releases=None,
    version="0.12.1",
    max_rank=_RANKS[-1],
    kernel_ranks=_RANKS,
    # Values of --quantize: a 16-bit scale and a zero point for 128 weights each (AWQ, GPTQ), a 32-bit scale
    # for 64 (bitsandbytes), two 8-bit numbers and their own scales for 64 or, at 2 bits, for 16 (HQQ as LoRAX
    # calls it; its 3 bits are stored as 3.2). The command line also lists exl2, which the server rejects.
    quantizations={
        **{"awq": 4.2, "eetq": 8.0, "gptq": 4.2},
        **{"bitsandbytes": 8.0, "bitsandbytes-nf4": 4.5, "bitsandbytes-fp4": 4.5},
        **{"fp8": 8.0, "fp8-kv": 8.0},
        **{"hqq-4bit": 4.3, "hqq-3bit": 3.5, "hqq-2bit": 3.1},
    },
    # The names that `adapter_target_to_layer` looks up behind `base_model.model.`, of the layers that are in
    # `adapter_layers` too (both in `models/flash_*.py`, `bloom.py` and `mllama.py`; `adapters/lora.py`,
    # map_weights_for_model); others are left out silently. LoRAX picks its class by `model_type`
    # (`models/__init__.py`, get_model). GPT-NeoX, MPT, OPT, Falcon, SantaCoder, StarCoder, T5 and LLaVA load
    # and refuse every adapter (`models/model.py`, supports_adapter_loading). No other model that generates
    # text loads at all.
    architectures={
        "LlamaForCausalLM": _LLAMA,
        "LLaMAForCausalLM": _LLAMA,  # as the first conversions of Llama spell it
        "MistralForCausalLM": _LLAMA,
        "Qwen2ForCausalLM": _LLAMA,
        "GemmaForCausalLM": _GEMMA,
        "Gemma2ForCausalLM": _GEMMA,
        # It looks for gate_proj and up_proj under the name gate_up_proj, which no adapter has.
        "CohereForCausalLM": _model("model.layers", head="lm_head", self_attn=_ATTENTION, mlp="down_proj"),
        # `adapter_layers` of flash_mixtral.py has no lm_head.
        "MixtralForCausalLM": _model("model.layers", self_attn=_ATTENTION),
        "PhiForCausalLM": _model(
            "model.layers", head="lm_head", self_attn="q_proj k_proj v_proj dense", mlp="fc1 fc2"
        ),
        # As Mixtral's, `adapter_layers` of flash_phi3.py has no lm_head.
        "Phi3ForCausalLM": _model("model.layers", self_attn="qkv_proj o_proj", mlp="gate_up_proj down_proj"),
        "QWenLMHeadModel": _model("transformer.h", head="lm_head", attn="c_attn c_proj", mlp="w1 w2 c_proj"),
        # The checkpoint's names are without `transformer.`, for these two.
        "GPT2LMHeadModel": _model("transformer.h", attn="c_attn c_proj", mlp="c_fc c_proj"),
        "BloomForCausalLM": _model(
            "transformer.h",
            self_attention="query_key_value dense",
            mlp="dense_h_to_4h dense_4h_to_h",
        ),
        # It looks for Wqkv under the name q_proj, which no adapter has, and for a head in every block, so
        # that loading one fails (flash_dbrx.py, get_num_layers_for_type).
        "DbrxForCausalLM": _model("transformer.blocks", **{"norm_attn_norm.attn": "out_proj"}),
        # Left out of mllama.py's layers: the head, whose name has `base_model.model.` in it twice; the vision
        # model, to whose patches it applies adapters by the positions of the text's tokens; the mlp, which
        # blocks with cross attention have too, and for these it takes no adapter.
        "MllamaForConditionalGeneration": _model("language_model.model.layers", self_attn=_ATTENTION),
    },
    serves_code=False,
    # `adapters/lora.py`, LoraWeights.load returns None at the first layer without the module.
    needs_all_layers=True,
    features=dict.fromkeys(FEATURES, IGNORES)
    | {"layers_to_transform": "leaves out every module that not all layers have"},
    # `utils/adapter.py`, check_architectures; with the code of that repository's branch, if code is trusted.
    reads_named_base=True,
    unused_settings={
        "max_cpu_adapters": "LoRAX keeps no adapters in the instance's memory but those of the GPU",
        "adapter_target_modules": "LoRAX takes every module that it knows of the model",
        "tool_call_parser": "LoRAX serves tools without a parser, by a grammar for the answer",
    },
)
