"""Facts of LoRAX 0.12.1 (`server/` of predibase/lorax at that tag).

Of adapter_config.json it reads `r`, `lora_alpha`, `target_modules`, `fan_in_fan_out` (`adapters/lora.py`,
`LoraConfig.load`). It pins peft 0.4.0, which copies known keys alone, so its `use_rslora` is always false. Of
the tensors it looks up lora_A and lora_B of the modules that it knows (`map_weights_for_model`). The rest is
dropped silently.
"""

from __future__ import annotations

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
_ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"})
_LLAMA = _ATTENTION | {"gate_proj", "up_proj", "down_proj"}

RULES = EngineRules(
    name="lorax",
    title="LoRAX",
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
    # `adapter_layers` and `adapter_target_to_layer` in `models/`; others: `adapters/lora.py`,
    # `map_weights_for_model`.
    modules={
        "LlamaForCausalLM": _LLAMA | {"lm_head"},
        "MistralForCausalLM": _LLAMA | {"lm_head"},
        "Qwen2ForCausalLM": _LLAMA | {"lm_head"},
        "GemmaForCausalLM": _LLAMA,
        "Gemma2ForCausalLM": _LLAMA,
        # It looks for gate_proj and up_proj under the name gate_up_proj, which no adapter has.
        "CohereForCausalLM": _ATTENTION | {"down_proj", "lm_head"},
        "MixtralForCausalLM": _ATTENTION,
        "PhiForCausalLM": frozenset({"q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2", "lm_head"}),
        "Phi3ForCausalLM": frozenset({"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}),
        "QWenLMHeadModel": frozenset({"c_attn", "c_proj", "w1", "w2", "lm_head"}),
        "GPT2LMHeadModel": frozenset({"c_attn", "c_proj", "c_fc"}),
        "BloomForCausalLM": frozenset({"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}),
    },
    unloadable_modules={},
    # `adapters/lora.py`, LoraWeights.load returns None at the first layer without the module.
    needs_all_layers=True,
    features=dict.fromkeys(FEATURES, IGNORES)
    | {"layers_to_transform": "leaves out every module that not all layers have"},
    unused_settings={
        "adapter_target_modules": "LoRAX takes every module that it knows of the model",
        "tool_call_parser": "LoRAX has the model write tool calls in a form of its own",
    },
)
