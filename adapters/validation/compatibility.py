"""Compatibility of an adapter's layers with its config, the engine and the base model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from adapters.engines.record import EngineRules
from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.strict_json import shown
from adapters.validation.adapter_config import AdapterConfig, module_ends
from adapters.validation.base_model import BaseModelFacts, kind_of
from adapters.validation.lora_layers import LoraLayer
from adapters.validation.rules import Rules

#: Expressions that vLLM may have to try for one adapter; see `adapter_config.MAX_PATTERN_KEYS`. About 3 s.
MAX_PATTERN_MATCHES = 400_000

Layers = Mapping[str, LoraLayer]


def last_name(path: str) -> str:
    """Return the last part of a module's path, e.g. `q_proj`."""
    return path.rpartition(".")[2]


def check_config(name: str, layers: Layers, config: AdapterConfig) -> None:
    """Raise `InvalidAdapter` unless the config describes these layers."""
    for path, layer in layers.items():
        if layer.rank != config.rank_of(path):
            # The engines scale by the config's rank, whatever the tensors have.
            raise InvalidFiles(
                name,
                f"{path} has rank {layer.rank} in the weights, {config.rank_of(path)} in the config",
                "config and weights are of different adapters: save both again",
            )
    if config.pattern_keys * len(layers) > MAX_PATTERN_MATCHES:
        raise InvalidFiles(
            name,
            f"rank_pattern and alpha_pattern have {config.pattern_keys} keys for {len(layers)} layers, and "
            "the engine tries each on each",
            "use fewer keys, such as q_proj for all modules of that name",
        )
    if config.target_modules is not None:
        _check_targets(name, layers, config, config.target_modules)


def _check_targets(name: str, layers: Layers, config: AdapterConfig, targets: frozenset[str]) -> None:
    unused = set(targets)
    for path in layers:
        matched = targets.intersection(module_ends(path))
        if not matched:
            raise InvalidFiles(
                name,
                f"it changes {path}, which target_modules does not list",
                "config and weights are of different adapters: save both again",
            )
        unused -= matched
    if unused and not config.excludes_modules:
        raise InvalidFiles(
            name,
            f"target_modules lists {shown(min(unused))}, for which the weights have no tensor",
            "save the adapter again; if the base model has no such module, take it out of target_modules",
        )


def check_engine(name: str, layers: Layers, rules: Rules, base: BaseModelFacts | None) -> None:
    """Raise `InvalidAdapter` if the engine would leave a layer out, or fail on it."""
    architecture = base.architecture if base is not None else None
    engine, slots = rules.engine_rules, rules.slots
    served, unloadable = engine.served(architecture), engine.unloadable(architecture)
    for path in layers:
        module = last_name(path)
        if served is not None and module not in served:
            raise InvalidAdapter(
                name,
                f"it changes {path}, which {engine.title} leaves out silently for {architecture}",
                f"train {', '.join(sorted(served))} only",
            )
        if module in unloadable:
            raise InvalidAdapter(
                name,
                f"it changes {path}, for which {engine.title} has no slot in {architecture}",
                f"train without {module}",
            )
    if slots is not None:
        _check_slots(name, layers, slots)
    if engine.needs_all_layers:
        _check_complete(name, layers, engine, base)


def _check_slots(name: str, layers: Layers, slots: Sequence[str]) -> None:
    """Raise `InvalidAdapter` for layers without a slot; the remedy names all of their modules at once."""
    without = {last_name(path): path for path in reversed(list(layers)) if last_name(path) not in slots}
    if without:
        # vLLM: activate_adapter of model_manager.py goes through the slots, and drops what is left.
        *_, path = without.values()
        raise InvalidAdapter(
            name,
            f"it changes {path}, and this stage has slots for {', '.join(slots)} only",
            f"add {', '.join(sorted(without))} to engine.adapter_target_modules",
        )


def check_base(name: str, layers: Layers, config: AdapterConfig, rules: Rules, base: BaseModelFacts) -> None:
    """Raise `InvalidAdapter` unless the base model has these layers, in these sizes."""
    if None not in {config.architecture, base.architecture} and config.architecture != base.architecture:
        raise InvalidAdapter(
            name,
            f"it was trained on a {shown(config.architecture)}, "
            f"{rules.base_model} is a {shown(base.architecture)}",
            "publish it to a stage with that base model",
        )
    if not base.layers:
        return
    for path, layer in layers.items():
        if path not in base.layers:
            # The engines leave such a layer out silently.
            raise InvalidAdapter(
                name,
                f"it changes {path}, which {rules.base_model} does not have",
                "publish it to a stage with the base model that it was trained on",
            )
        sizes = base.layers[path]
        found = (layer.outputs, layer.inputs)
        if sizes is not None and found != sizes and not (config.is_transposed and found == sizes[::-1]):
            # vLLM takes a layer that is too small (layers/base_linear.py, set_lora copies into a slice).
            raise InvalidAdapter(
                name,
                f"it changes {path} from {found[1]} to {found[0]} features, in {rules.base_model} that goes "
                f"from {sizes[1]} to {sizes[0]}",
                "publish it to a stage with the base model that it was trained on",
            )


def _check_complete(name: str, layers: Layers, engine: EngineRules, base: BaseModelFacts | None) -> None:
    """Raise `InvalidAdapter` if a layer lacks a module: the engine would leave it out of all layers."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for path in layers:
        kinds[kind_of(path)].add(path)
    needed = base.kinds if base is not None and base.layers else _seen(kinds)
    for kind, paths in kinds.items():
        if len(paths) < needed[kind]:
            raise InvalidAdapter(
                name,
                f"it changes {kind} in {len(paths)} of {needed[kind]} layers: "
                f"{engine.title} leaves it out of all",
                "train all layers",
            )


def _seen(kinds: Mapping[str, set[str]]) -> Counter[str]:
    """The least number of layers by kind: up to the highest number that any module has."""
    highest: dict[str, int] = {}
    for kind, paths in kinds.items():
        if kind.count("*") == 1:
            start = kind.partition("*")[0]
            numbers = [int(path.removeprefix(start).partition(".")[0]) for path in paths]
            highest[start] = max(highest.get(start, 0), *numbers, 0)
    return Counter({kind: highest.get(kind.partition("*")[0], -1) + 1 for kind in kinds})
