"""What a stage demands of an adapter, and what its engine can do.

Read in the engines' own code: LoRAX 0.12.1 (`server/` of predibase/lorax at that tag), vLLM 0.32.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from adapters.names import check_module

LORAX = "lorax"
VLLM = "vllm"
#: How an engine is called in messages.
ENGINES: Mapping[str, str] = {LORAX: "LoRAX", VLLM: "vLLM"}

#: To be raised when an adapter that was valid may no longer be, so that published ones are checked again.
RULES_VERSION = 1
#: At the end of `Rules.checked_for`, where the base model could not be read.
DIMENSIONS_UNKNOWN = ", dimensions unknown"

#: The ranks that LoRAX serves. Its kernels know no others (`punica_kernels/bgmv/bgmv_config.h`, decoding;
#: `sgmv_flashinfer/sgmv_config.h`, prompts). It pads ranks up to 8 per GPU and to multiples of 16
#: (`utils/punica.py`), writes the padded rank into the adapter's config, and divides alpha by that for all
#: modules but the first: silently wrong answers (`adapters/lora.py`, LoraWeights.load; seen by running it).
LORAX_RANKS = (8, 16, 32, 64, 128)

_ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"})
_LLAMA = _ATTENTION | {"gate_proj", "up_proj", "down_proj"}
#: The modules that LoRAX reads from an adapter, by architecture: `adapter_layers` and
#: `adapter_target_to_layer` in `models/`. What else the adapter changes is left out without a word
#: (`adapters/lora.py`, `map_weights_for_model`).
LORAX_MODULES: Mapping[str, frozenset[str]] = {
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
}

#: Architectures whose lm_head vLLM has no slot for, so that it does not load an adapter that changes it:
#: `embedding_modules` is empty in `model_executor/models/` (`lora/utils.py`, `get_supported_lora_modules`).
VLLM_WITHOUT_HEAD = frozenset(
    {"MistralForCausalLM", "Qwen2ForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM"}
)


@dataclass(frozen=True)
class Rules:
    """What a stage demands of an adapter."""

    engine: str
    """`lorax` or `vllm`."""
    max_rank: int
    """The stage's `engine.max_adapter_rank`."""
    base_model: str
    """What the adapter must say that it was trained on."""
    target_modules: tuple[str, ...] | None = None
    """vLLM: the modules that have slots, the stage's `engine.adapter_target_modules`. None: all."""
    gpus: int = 1
    """That share the model, the stage's `engine.tensor_parallel`: LoRAX splits ranks among them."""

    def __post_init__(self) -> None:
        """Refuse an engine of which nothing is known here, and what is no name of a module."""
        if self.engine not in ENGINES:
            raise ValueError(f"engine {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.target_modules == ():
            raise ValueError("target_modules is empty: None stands for all modules")
        for module in self.target_modules or ():
            check_module(module)

    @property
    def identity(self) -> str:
        """Equal for equal rules, and another one once `check_adapter` refuses more than it did."""
        return json.dumps({"version": RULES_VERSION} | asdict(self), sort_keys=True)

    def checked_for(self, base_revision: str, *, dimensions_known: bool = True) -> str:
        """What a registry entry notes of the check that its adapter passed."""
        return f"{self.identity} {base_revision}" + ("" if dimensions_known else DIMENSIONS_UNKNOWN)

    @property
    def ranks(self) -> tuple[int, ...] | None:
        """The ranks that the engine serves, None for all up to the highest."""
        if self.engine != LORAX:
            return None
        # Each GPU has its share of the rank, and needs a kernel for that, too.
        return tuple(
            rank for rank in LORAX_RANKS if rank % self.gpus == 0 and rank // self.gpus in LORAX_RANKS
        )

    def slots(self, architecture: str | None) -> frozenset[str] | None:
        """The modules that adapters may change by what is known of the engine; None if nothing is."""
        return LORAX_MODULES.get(architecture or "") if self.engine == LORAX else None
