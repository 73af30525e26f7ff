"""What PEFT can put into an adapter and an engine cannot serve: refused by name, before it is published.

The engines read few keys of adapter_config.json:

- LoRAX 0.12.1: `r`, `lora_alpha`, `target_modules`, `fan_in_fan_out` (`adapters/lora.py`, `LoraConfig.load`).
  It pins peft 0.4.0, which copies known keys alone, so its `use_rslora` is always false. Of the tensors it
  looks up lora_A and lora_B of its own modules (`map_weights_for_model`). All else is dropped silently.
- vLLM 0.32.0: those of `PEFTHelper` (`lora/peft_helper.py`), which refuses some when the adapter is loaded:
  that is, when its first request comes. Keys that it has no field for it ignores. Tensors whose names it
  does not know make loading fail (`lora/utils.py`, `parse_fine_tuned_lora_name`).

`fan_in_fan_out` changes nothing in how a LoRA is applied, only how PEFT merges it: both engines serve it.
`eva_config`, `corda_config`, `loftq_config`, `lora_ga_config` matter to `init_lora_weights` alone, and
`velora_config` to training alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.errors import InvalidAdapter
from adapters.strict_json import shown
from adapters.validation.rules import ENGINES, LORAX, VLLM

_IGNORES = "ignores it silently and would answer with wrong weights"
_REFUSES = "does not load such an adapter"


@dataclass(frozen=True)
class Feature:
    """A setting of adapter_config.json that must be null, false, empty or absent."""

    setting: str
    lorax: str | None
    """What LoRAX does with it; None if it serves it."""
    vllm: str | None
    """What vLLM does with it; None if it serves it."""

    def effect(self, engine: str) -> str | None:
        """What this engine does with it; None if it serves it."""
        return {LORAX: self.lorax, VLLM: self.vllm}[engine]


FEATURES = (
    Feature("use_rslora", _IGNORES, None),
    # vLLM: PEFTHelper.get_rank_and_scaling.
    Feature("rank_pattern", _IGNORES, None),
    Feature("alpha_pattern", _IGNORES, None),
    # LoRAX: LoraWeights.load returns None at the first layer without the module.
    Feature("layers_to_transform", "leaves out every module that not all layers have", None),
    # vLLM: PEFTHelper._validate_features, as the next six.
    Feature("use_dora", _IGNORES, _REFUSES),
    Feature("lora_bias", _IGNORES, _REFUSES),
    # vLLM: `classifier` and `score` pass, but only models that classify have a place for them
    # (model_manager.py, _validate_modules_to_save).
    Feature("modules_to_save", _IGNORES, _REFUSES),
    Feature("alora_invocation_tokens", _IGNORES, _REFUSES),
    Feature("layer_replication", _IGNORES, _REFUSES),
    Feature("use_bdlora", _IGNORES, _REFUSES),
    Feature("use_qalora", _IGNORES, _REFUSES),
    # vLLM: parse_fine_tuned_lora_name fails on trainable_tokens_delta, lora_diag, lora_monteclora_sampler.
    Feature("trainable_token_indices", _IGNORES, _REFUSES),
    Feature("kasa_config", _IGNORES, _REFUSES),
    Feature("monteclora_config", _IGNORES, _REFUSES),
    # vLLM: no fields of PEFTHelper. Arrow picks among adapters token by token; Megatron's layers are
    # shards; tying concerns embeddings that are changed together with the head.
    Feature("arrow_config", _IGNORES, _IGNORES),
    Feature("megatron_config", _IGNORES, _IGNORES),
    Feature("ensure_weight_tying", _IGNORES, _IGNORES),
    # vLLM: only models with fused experts in one of two layouts (model_manager.py,
    # _validate_moe_lora_format); one tensor then holds all experts, which is not checked here.
    Feature("target_parameters", _IGNORES, "serves it for some mixtures of experts only"),
)

#: Initializations that leave the base model as it is. The others (PiSSA, OLoRA, CorDA, LoftQ) belong to a
#: base model with other weights: vLLM refuses them (`PEFTHelper._init_is_supported`), LoRAX does not notice.
PLAIN_INITIALIZATIONS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})


def refuse_features(name: str, config: Mapping[str, Any], engine: str) -> None:
    """Raise `InvalidAdapter` if the config asks for something that the engine cannot serve."""
    for feature in FEATURES:
        effect = feature.effect(engine)
        if effect is not None and config.get(feature.setting):
            remedy = "train without it"
            if feature.effect(VLLM) is None:
                remedy += ", or serve it with engine: vllm"
            raise InvalidAdapter(
                name, f"its config sets {feature.setting}, and {ENGINES[engine]} {effect}", remedy
            )
    # Not a switch: LoRAX ignores all values but takes none; vLLM takes nothing but "none" (validate_legal).
    bias = config.get("bias", "none")
    if bias != "none":
        effect = _IGNORES if engine == LORAX else _REFUSES
        raise InvalidAdapter(
            name, f"its config sets bias to {shown(bias)}, and {ENGINES[engine]} {effect}", "train with none"
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in PLAIN_INITIALIZATIONS:
        raise InvalidAdapter(
            name,
            f"init_lora_weights is {shown(start)}: it fits a base model whose weights that has changed",
            "save it as a plain LoRA, with PEFT's path_initial_model_for_weight_conversion",
        )
