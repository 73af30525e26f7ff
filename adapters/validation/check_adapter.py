"""Validation of a LoRA adapter from its config and the header of its weights file.

Synth (local directories), the seeder and the command line use the same checks, in this order: the config
(`adapter_config`, `features`), the weights file (`safetensors`), its tensors (`lora_layers`), and the
compatibility of all of them with each other, the engine and the base model (`compatibility`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from adapters.engines.record import EngineRules
from adapters.engines.registry import ENGINES
from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.files import ReadableFile
from adapters.validation.adapter_config import read_config
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.compatibility import (
    Layers,
    check_architecture,
    check_config,
    check_every_layer,
    check_layers,
    last_name,
    renamed,
)
from adapters.validation.lora_layers import read_layers
from adapters.validation.rules import Rules
from adapters.validation.safetensors import read_header

#: S3's limit of a copy in one request (CopyObject).
MAX_WEIGHTS_BYTES = 5 * 1024**3

#: Reads a weights file once: its layers, and the number of its tensors.
Weights = Callable[[], tuple[Layers, int]]


@dataclass(frozen=True)
class AdapterFacts:
    """The facts of an adapter that passed validation."""

    rank: int
    """The highest of any layer."""
    alpha: float
    base_model: str
    target_modules: tuple[str, ...]
    """The modules that its weights change, by the last part of their names, in alphabetical order."""
    tensors: int


def check_adapter(
    name: str, config: bytes, weights: ReadableFile, rules: Rules, base: BaseModelFacts | None = None
) -> AdapterFacts:
    """Check an adapter: `config` is its adapter_config.json, `weights` its adapter_model.safetensors.

    Only the header of the weights is read. Without `base` it is not checked whether the base model has these
    layers. Raises `InvalidAdapter` for the first problem; its remedy proposes another engine if the adapter
    passes the whole check with it, and not with the stage's own under other keys.
    """
    layers = cache(lambda: _read_weights(name, weights))
    try:
        return _check(name, config, layers, rules, base)
    except InvalidFiles:
        # No engine serves such files.
        raise
    except InvalidAdapter as error:
        by_engine = {
            engine.name: _keys_with(engine, name, config, layers, rules, base) for engine in ENGINES.values()
        }
        # Other keys of the stage are enough, and the remedy names them.
        is_served = by_engine.pop(rules.engine) is not None
        if is_served or not (proposals := " or ".join(filter(None, by_engine.values()))):
            raise
        raise InvalidAdapter(name, error.problem, f"{error.remedy}, or write {proposals}") from error


def _keys_with(
    engine: EngineRules, name: str, config: bytes, layers: Weights, rules: Rules, base: BaseModelFacts | None
) -> str | None:
    """Return the keys of a stage file with which an engine serves the adapter; None if it does not."""
    for max_rank in sorted({min(rules.max_rank, engine.max_rank), engine.max_rank}):
        other = replace(rules, engine=engine.name, max_rank=max_rank, target_modules=None)
        try:
            rank = _check(name, config, layers, other, base).rank
        except InvalidFiles:
            return None
        except InvalidAdapter:
            continue
        raised = "" if rank <= rules.max_rank else f" with engine.max_adapter_rank: {rank}"
        return f"engine.name: {engine.name}{raised}"
    return None


def _read_weights(name: str, weights: ReadableFile) -> tuple[Layers, int]:
    """Return the layers of a weights file, and the number of its tensors."""
    if weights.size > MAX_WEIGHTS_BYTES:
        raise InvalidFiles(
            name,
            f"its weights have {weights.size} bytes, the most is {MAX_WEIGHTS_BYTES} (5 GiB)",
            "save them as bfloat16, or train with a lower rank or fewer modules",
        )
    tensors = read_header(name, weights)
    return read_layers(name, tensors), len(tensors)


def _check(
    name: str, config: bytes, weights: Weights, rules: Rules, base: BaseModelFacts | None
) -> AdapterFacts:
    if name == rules.base_model:
        raise InvalidAdapter(name, "the base model has this name", "give the adapter another one")
    settings = read_config(name, config, rules)
    layers, tensors = weights()
    base = base or BaseModelFacts(None, {})
    check_architecture(name, settings, rules, base)
    engine = rules.engine_rules
    facts = engine.facts(base.architecture, base.has_code)
    check_config(name, layers, settings, base)
    named = renamed(name, layers, facts)
    check_layers(name, named, settings, rules, base, facts)
    if engine.needs_all_layers:
        check_every_layer(name, named, engine, base.named_by(facts))
    return AdapterFacts(
        rank=max(layer.rank for layer in layers.values()),
        alpha=settings.alpha,
        base_model=rules.base_model,
        target_modules=tuple(sorted({last_name(path) for path in layers})),
        tensors=tensors,
    )
