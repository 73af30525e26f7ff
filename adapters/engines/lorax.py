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


def _model(**layers: str) -> ArchitectureFacts:
    """Layers by their part of a block of `model.layers`; `head`: a module beside the blocks."""
    head = layers.pop("head", "")
    blocks = {f"model.layers.*.{part}": modules for part, modules in layers.items()}
    return ArchitectureFacts(kinds(blocks | {"": head}))


_ATTENTION = "q_proj k_proj v_proj o_proj"
_MLP = "gate_proj up_proj down_proj"
_LLAMA = _model(self_attn=_ATTENTION, mlp=_MLP, head="lm_head")
_GEMMA = _model(self_attn=_ATTENTION, mlp=_MLP)

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
    # `adapter_layers` and `adapter_target_to_layer` in `models/`, whose names are looked up behind
    # `base_model.model.` (`adapters/lora.py`, `map_weights_for_model`); others are left out silently.
    architectures={
        "LlamaForCausalLM": _LLAMA,
        "MistralForCausalLM": _LLAMA,
        "Qwen2ForCausalLM": _LLAMA,
        "GemmaForCausalLM": _GEMMA,
        "Gemma2ForCausalLM": _GEMMA,
        # It looks for gate_proj and up_proj under the name gate_up_proj, which no adapter has.
        "CohereForCausalLM": _model(self_attn=_ATTENTION, mlp="down_proj", head="lm_head"),
        # `adapter_layers` of flash_mixtral.py has no lm_head.
        "MixtralForCausalLM": _model(self_attn=_ATTENTION),
        "PhiForCausalLM": _model(self_attn="q_proj k_proj v_proj dense", mlp="fc1 fc2", head="lm_head"),
        "Phi3ForCausalLM": _model(self_attn="qkv_proj o_proj", mlp="gate_up_proj down_proj"),
        "QWenLMHeadModel": ArchitectureFacts(
            kinds(
                {
                    "transformer.h.*.attn": "c_attn c_proj",
                    "transformer.h.*.mlp": "w1 w2 c_proj",
                    "": "lm_head",
                }
            )
        ),
        # PEFT writes `transformer.` before the names of the checkpoint.
        "GPT2LMHeadModel": ArchitectureFacts(
            kinds({"transformer.h.*.attn": "c_attn c_proj", "transformer.h.*.mlp": "c_fc c_proj"})
        ),
        "BloomForCausalLM": ArchitectureFacts(
            kinds(
                {
                    "transformer.h.*.self_attention": "query_key_value dense",
                    "transformer.h.*.mlp": "dense_h_to_4h dense_4h_to_h",
                }
            )
        ),
    },
    # `adapters/lora.py`, LoraWeights.load returns None at the first layer without the module.
    needs_all_layers=True,
    features=dict.fromkeys(FEATURES, IGNORES)
    | {"layers_to_transform": "leaves out every module that not all layers have"},
    unused_settings={"adapter_target_modules": "LoRAX takes every module that it knows of the model"},
)
