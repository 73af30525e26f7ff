"""The layers that LoRAX's record lists have the names that PEFT writes: those of transformers' classes."""

import pytest
import torch

from adapters.engines.architectures import kind_of
from adapters.engines.registry import ENGINES

#: Not in transformers: Qwen's first class, and another spelling of Llama's.
NOT_THERE = ("QWenLMHeadModel", "LLaMAForCausalLM")
#: transformers 4.51 and older, which LoRAX needs, name its language model without `model.`, and its blocks with.
RENAMED = {"model.language_model.layers": "language_model.model.layers"}
#: What the config of a class lacks by default.
CONFIG = {"DbrxForCausalLM": {"attn_config": {"rope_theta": 5e5}}}

ARCHITECTURES = ENGINES["lorax"].architectures


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - set(NOT_THERE)))
def test_the_layers_of_the_record_are_there(architecture: str) -> None:
    # Each worker collects this file, and transformers takes seconds to import.
    import transformers  # noqa: PLC0415

    model_class = getattr(transformers, architecture)
    with torch.device("meta"):
        model = model_class(model_class.config_class(**CONFIG.get(architecture, {})))
    names = {kind_of(name) for name, _ in model.named_modules()}
    for new, old in RENAMED.items():
        names |= {name.replace(new, old) for name in names}
    assert (ARCHITECTURES[architecture].layers or set()) <= names
