"""PEFT features that an engine cannot serve: refused by name, before the adapter is published.

Each engine's record lists the effect of each feature (`adapters.engines`).

`fan_in_fan_out` changes nothing in how a LoRA is applied, only how PEFT merges it: the engines serve it.
`eva_config`, `corda_config`, `loftq_config`, `lora_ga_config` matter to `init_lora_weights` alone, and
`velora_config` to training alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.engines.record import FEATURES, EngineRules
from adapters.errors import InvalidAdapter
from adapters.strict_json import shown

#: Initializations that leave the base model as it is. The others (PiSSA, OLoRA, CorDA, LoftQ) belong to a
#: base model with other weights: vLLM refuses them (`PEFTHelper._init_is_supported`), LoRAX does not notice.
PLAIN_INITIALIZATIONS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
#: Those that PEFT can undo (`LoraModel.subtract_mutated_init`), as an argument of `save_pretrained`.
_CONVERTIBLE = ("pissa", "olora", "corda")
_CONVERSION = "path_initial_model_for_weight_conversion"


def refuse_features(name: str, config: Mapping[str, Any], engine: EngineRules) -> None:
    """Raise `InvalidAdapter` if the config has a feature that the engine cannot serve."""
    found = [
        feature
        for feature in FEATURES
        if feature != "bias" and engine.features[feature] is not None and config.get(feature)
    ]
    if found:
        raise InvalidAdapter(
            name,
            f"its config sets {found[0]}, and {engine.title} {engine.features[found[0]]}",
            f"train without {' and '.join(found)}",
        )
    # Not a switch: "none" turns it off.
    bias, effect = config.get("bias", "none"), engine.features["bias"]
    if effect is not None and bias != "none":
        raise InvalidAdapter(
            name,
            f"its config sets bias to {shown(bias)}, and {engine.title} {effect}",
            "train with bias: none",
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in PLAIN_INITIALIZATIONS:
        raise InvalidAdapter(
            name,
            f"init_lora_weights is {shown(start)}, which changes the weights of the base model",
            f"save it with PEFT's {_CONVERSION}, as a LoRA of twice the rank"
            if start.lower().startswith(_CONVERTIBLE)
            else "train with another init_lora_weights, such as true",
        )
