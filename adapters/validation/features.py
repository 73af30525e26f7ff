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
from adapters.engines.registry import ENGINES, or_engine
from adapters.errors import InvalidAdapter
from adapters.strict_json import shown

#: Initializations that leave the base model as it is. The others (PiSSA, OLoRA, CorDA, LoftQ) belong to a
#: base model with other weights: vLLM refuses them (`PEFTHelper._init_is_supported`), LoRAX does not notice.
PLAIN_INITIALIZATIONS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})


def refuse_features(name: str, config: Mapping[str, Any], engine: EngineRules) -> None:
    """Raise `InvalidAdapter` if the config has a feature that the engine cannot serve."""
    for feature in FEATURES:
        if feature == "bias":
            continue
        effect = engine.features[feature]
        if effect is not None and config.get(feature):
            raise InvalidAdapter(
                name,
                f"its config sets {feature}, and {engine.title} {effect}",
                "train without it"
                + or_engine(
                    "serve it with", (o.name for o in ENGINES.values() if o.features[feature] is None)
                ),
            )
    # Not a switch: "none" turns it off.
    bias, effect = config.get("bias", "none"), engine.features["bias"]
    if effect is not None and bias != "none":
        raise InvalidAdapter(
            name, f"its config sets bias to {shown(bias)}, and {engine.title} {effect}", "train with none"
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in PLAIN_INITIALIZATIONS:
        raise InvalidAdapter(
            name,
            f"init_lora_weights is {shown(start)}: it fits a base model whose weights that has changed",
            "save it as a plain LoRA, with PEFT's path_initial_model_for_weight_conversion",
        )
