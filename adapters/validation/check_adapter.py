"""What a valid LoRA adapter is, decided from its config and its weights file's header alone.

The same for local folders at synth, for the seeder and for the command line. Checked in this order: the
config on its own (`adapter_config`, `features`), the weights file (`safetensors`), its tensors
(`lora_layers`), and how both fit each other, the engine and the base model (`fitting`).
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.errors import InvalidAdapter
from adapters.files import ReadableFile
from adapters.validation.adapter_config import MAX_CONFIG_BYTES, read_config
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.compatibility import check_base, check_config, check_engine, last_name
from adapters.validation.lora_layers import read_layers
from adapters.validation.rules import Rules
from adapters.validation.safetensors import MAX_HEADER_BYTES, read_header

__all__ = [
    "MAX_CONFIG_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_WEIGHTS_BYTES",
    "AdapterFacts",
    "Rules",
    "check_adapter",
]

#: S3 copies no larger object in one request.
MAX_WEIGHTS_BYTES = 5 * 1024**3


@dataclass(frozen=True)
class AdapterFacts:
    """What validation learnt about an adapter."""

    rank: int
    """The highest of any layer."""
    alpha: float
    base_model: str
    target_modules: tuple[str, ...]
    """The modules that its weights change, by their own names, in alphabetical order."""
    tensors: int


def check_adapter(
    name: str, config: bytes, weights: ReadableFile, rules: Rules, base: BaseModelFacts | None = None
) -> AdapterFacts:
    """Check an adapter: `config` is its adapter_config.json, `weights` its adapter_model.safetensors.

    Of the weights only the header is read. Without `base` it is not checked whether the base model has these
    layers. Raises `InvalidAdapter` with the first thing that is wrong, and what would be right.
    """
    if name == rules.base_model:
        raise InvalidAdapter(name, "the base model has this name", "give the adapter another one")
    settings = read_config(name, config, rules)
    if weights.size > MAX_WEIGHTS_BYTES:
        raise InvalidAdapter(
            name,
            f"its weights have {weights.size} bytes, the most is {MAX_WEIGHTS_BYTES} (5 GiB)",
            "save them as bfloat16, or train with a lower rank or fewer modules",
        )
    tensors = read_header(name, weights)
    layers = read_layers(name, tensors)
    check_config(name, layers, settings)
    check_engine(name, layers, rules, base)
    if base is not None:
        check_base(name, layers, settings, rules, base)
    return AdapterFacts(
        rank=max(layer.rank for layer in layers.values()),
        alpha=settings.alpha,
        base_model=rules.base_model,
        target_modules=tuple(sorted({last_name(path) for path in layers})),
        tensors=len(tensors),
    )
