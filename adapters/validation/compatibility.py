"""Compatibility of an adapter's layers with its config, the engine and the base model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from adapters.engines.architectures import ArchitectureFacts, kind_of
from adapters.engines.record import EngineRules
from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.strict_json import shown
from adapters.validation.adapter_config import AdapterConfig, module_ends
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.lora_layers import LoraLayer
from adapters.validation.rules import Rules

#: Expressions that vLLM may have to try for one adapter; see `adapter_config.MAX_PATTERN_KEYS`. About 3 s.
MAX_PATTERN_MATCHES = 400_000

Layers = Mapping[str, LoraLayer]


def last_name(path: str) -> str:
    """Return the last part of a module's path, e.g. `q_proj`."""
    return path.rpartition(".")[2]


def _place(path: str) -> str:
    """Return the kind of the module that a layer is in, e.g. `model.layers.*.self_attn`."""
    return kind_of(path.rpartition(".")[0])


def check_config(name: str, layers: Layers, config: AdapterConfig, base: BaseModelFacts) -> None:
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
        unused = _unused_targets(name, layers, config.target_modules)
        if unused and not config.excludes_modules:
            _check_complete(name, unused, layers, base)


def _unused_targets(name: str, layers: Layers, targets: frozenset[str]) -> set[str]:
    """Return the targets that no layer matches; raises `InvalidAdapter` if a layer matches none."""
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
    return unused


def _check_complete(name: str, unused: set[str], layers: Layers, base: BaseModelFacts) -> None:
    """Raise `InvalidAdapter` if the base model has a target for which the weights have no tensor.

    PEFT passes over a target that no module of the model matches, as long as another one does. The model has
    the names of the class that was trained, which may differ from the checkpoint's (GPT-NeoX's head, the
    experts of a mixture): only beside a layer that the adapter changes are both known to be the same.
    """
    places = set(map(_place, layers))
    beside = (path for path in base.layers if _place(path) in places)
    missing = unused.intersection(end for path in beside for end in module_ends(path))
    if missing:
        raise InvalidFiles(
            name,
            f"target_modules lists {shown(min(missing))}, for which the weights have no tensor",
            "save the adapter again, or take it out of target_modules if it was not trained",
        )


def check_architecture(name: str, config: AdapterConfig, rules: Rules, base: BaseModelFacts) -> None:
    """Raise `InvalidAdapter` unless the engine serves adapters of the base model's class, as trained on."""
    engine = rules.engine_rules
    if base.architecture is None:
        return
    if not engine.facts(base.architecture, base.has_code).takes_adapters:
        raise InvalidAdapter(
            name,
            f"{engine.title} {engine.version} serves no adapters for {shown(base.architecture)}, "
            f"the class of {rules.base_model}",
            "take another base model for the stage, and train on that",
        )
    if config.architecture not in {None, base.architecture}:
        raise InvalidAdapter(
            name,
            f"it was trained on a {shown(config.architecture)}, "
            f"{rules.base_model} is a {shown(base.architecture)}",
            f"publish it to a stage whose base model is a {shown(config.architecture)}, or correct "
            "auto_mapping in its config",
        )


def renamed(name: str, layers: Layers, facts: ArchitectureFacts) -> dict[str, tuple[str, LoraLayer]]:
    """Return the layers by the engine's names, each with its path in the adapter.

    Raises `InvalidAdapter` if two are the same to the engine, which would then use one of them.
    """
    found: dict[str, tuple[str, LoraLayer]] = {}
    for path, layer in layers.items():
        at = facts.of_adapter(path)
        if at in found:
            raise InvalidFiles(
                name, f"it changes one layer under two names, {found[at][0]} and {path}", "save it again"
            )
        found[at] = (path, layer)
    return found


def check_layers(
    name: str,
    layers: Mapping[str, tuple[str, LoraLayer]],
    config: AdapterConfig,
    rules: Rules,
    base: BaseModelFacts,
    facts: ArchitectureFacts,
) -> None:
    """Raise `InvalidAdapter` unless the base model has these layers, in these sizes, with slots for them."""
    there = base.named_by(facts)
    for at, (path, layer) in layers.items():
        if there and at not in there:
            # The engines leave such a layer out silently.
            raise InvalidAdapter(
                name,
                f"it changes {path}, which {rules.base_model} does not have{_alike(path, base)}",
                "publish it to a stage with the base model that it was trained on",
            )
        if not facts.serves(at):
            raise _without_slot(name, path, rules, base, facts)
        if layer.embeds and facts.layers is None:
            raise InvalidAdapter(
                name,
                f"it changes {path}, embeddings, for which {rules.base_model} may have no slot",
                "train linear layers alone, e.g. q_proj and v_proj",
            )
        if layer.embeds != facts.embeds(at):
            # LoRAX looks for the one name only. vLLM makes no difference, but PEFT has one for each.
            named, meant = (
                ("lora_embedding_A", "a linear layer") if layer.embeds else ("lora_A", "embeddings")
            )
            raise InvalidFiles(
                name,
                f"its tensors for {path} are named {named}, which is not PEFT's name for {meant}",
                "save it again, with PEFT's save_pretrained",
            )
        sizes = there.get(at)
        if layer.copied not in {None, sizes}:
            # PEFT changes these weights only to make room for more tokens.
            raise InvalidAdapter(
                name,
                f"it has the weights of {path} themselves, for which the engines take {rules.base_model}'s",
                "save with save_embedding_layers=False if no tokens were added; others cannot be served",
            )
        found = (layer.inputs, layer.outputs) if layer.embeds else (layer.outputs, layer.inputs)
        if sizes is not None and found != sizes and not (config.is_transposed and found == sizes[::-1]):
            inputs, outputs = sizes if layer.embeds else sizes[::-1]
            # vLLM takes a layer that is too small (layers/base_linear.py, set_lora copies into a slice).
            raise InvalidAdapter(
                name,
                f"it changes {path} from {layer.inputs} to {layer.outputs} features, in {rules.base_model} "
                f"that goes from {inputs} to {outputs}",
                "publish it to a stage with the base model that it was trained on",
            )
    if rules.slots is not None:
        _check_slots(name, layers, rules.slots)


def _alike(path: str, base: BaseModelFacts) -> str:
    """Name a layer of the base model with the same module as one that it does not have; empty if none has."""
    found = next((layer for layer in base.layers if last_name(layer) == last_name(path)), None)
    return "" if found is None else f" (it has {found})"


def _check_slots(name: str, layers: Mapping[str, tuple[str, LoraLayer]], slots: Collection[str]) -> None:
    """Raise `InvalidAdapter` for layers without a slot; the remedy names all of their modules."""
    without = {last_name(at): path for at, (path, _) in layers.items() if last_name(at) not in slots}
    if without:
        # vLLM: activate_adapter of model_manager.py goes through the slots, and drops what is left.
        raise InvalidAdapter(
            name,
            f"it changes {min(without.values())}, and this stage has slots for {', '.join(slots)} only",
            f"add {', '.join(sorted(without))} to engine.adapter_target_modules",
        )


def _without_slot(
    name: str, path: str, rules: Rules, base: BaseModelFacts, facts: ArchitectureFacts
) -> InvalidAdapter:
    trainable = _trainable(rules, base, facts)
    return InvalidAdapter(
        name,
        f"it changes {path}, for which {rules.engine_rules.title} has no slot in {base.architecture}",
        f"train {', '.join(trainable)} only" if trainable else f"train without {last_name(path)}",
    )


def _trainable(rules: Rules, base: BaseModelFacts, facts: ArchitectureFacts) -> list[str]:
    """Return the modules with slots in the engine, in the stage and in the base model."""
    there = {last_name(at) for at in base.named_by(facts)}
    return [
        module
        for module in facts.modules()
        if (rules.slots is None or module in rules.slots) and (not there or module in there)
    ]


def check_every_layer(name: str, layers: Iterable[str], engine: EngineRules, there: Iterable[str]) -> None:
    """Raise `InvalidAdapter` if one layer lacks a module: the engine would leave that out of all layers.

    `there` are the layers of the base model, by the engine's names as `layers`; empty if they are not known.
    """
    kinds: dict[str, set[str]] = defaultdict(set)
    for path in layers:
        kinds[kind_of(path)].add(path)
    needed = Counter(map(kind_of, there)) or _seen(kinds)
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
