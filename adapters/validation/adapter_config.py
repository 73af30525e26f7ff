"""Reading adapter_config.json, which PEFT writes and both engines read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters import git_lfs
from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.store.layout import CONFIG_FILE
from adapters.strict_json import NotAnObject, parse_object, shown
from adapters.validation.base_name import check_base_name
from adapters.validation.features import refuse_features
from adapters.validation.rules import Rules

#: A PEFT config has a few kB.
MAX_CONFIG_BYTES = 256 * 1024

#: vLLM matches the keys of patterns as regular expressions, in the process that serves every request
#: (`lora/peft_helper.py`, `_match_pattern`): an expression that could block it is refused.
_PATTERN_KEY = re.compile(r"\^?(?:[\w-]|\\?\.){1,256}\$?", re.ASCII)
#: It tries all keys on each module, and keeps 500 expressions compiled. Measured: 480 keys for 480 modules
#: take 3 s, 520 keys for 520 modules two minutes, in which vLLM answers no request.
MAX_PATTERN_KEYS = 400


@dataclass(frozen=True)
class AdapterConfig:
    """An adapter's config, checked on its own."""

    rank: int
    alpha: float
    target_modules: frozenset[str] | None
    """Names or ends of names of the modules it changes; None if the config has a regular expression."""
    excludes_modules: bool
    """True if it may leave out some of the target modules."""
    rank_pattern: Mapping[str, tuple[int, int]]
    """By name or end of name of modules with another rank than `rank`: position in the pattern, and rank."""
    pattern_keys: int
    """Number of different names in the patterns of rank and alpha."""
    is_transposed: bool
    """True if the base model stores weights as (in_features, out_features)."""
    architecture: str | None
    """Class of the model that it was trained on; None if PEFT did not save it."""

    def rank_of(self, path: str) -> int:
        """Return the rank of a module, by the first pattern that matches its path, as in PEFT and vLLM."""
        if not self.rank_pattern:
            return self.rank
        found = [
            self.rank_pattern[end] for end in (f"^{path}", *module_ends(path)) if end in self.rank_pattern
        ]
        return min(found)[1] if found else self.rank


def module_ends(path: str) -> list[str]:
    """Return the names of a module in `target_modules`: its path, and each end of it after a dot."""
    parts = path.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def read_config(name: str, data: bytes, rules: Rules) -> AdapterConfig:
    """Parse and check a config; raises `InvalidAdapter` for the first problem."""
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidFiles(
            name,
            f"its {CONFIG_FILE} is longer than {MAX_CONFIG_BYTES} bytes, so not a PEFT config",
            "save the adapter with PEFT's save_pretrained",
        )
    if git_lfs.is_pointer(data):
        raise InvalidFiles(name, f"its {CONFIG_FILE} {git_lfs.PROBLEM}", git_lfs.REMEDY)
    try:
        config = parse_object(data)
    except NotAnObject as error:
        # A key that is there twice comes with its remedy.
        reason, _, remedy = str(error).partition("; ")
        problem = f"its {CONFIG_FILE} cannot be used: {reason}"
        raise InvalidFiles(name, problem, remedy or "correct it, or save it again") from error
    if config.get("peft_type") != "LORA":
        if "peft_type" not in config:
            problem = f"its {CONFIG_FILE} has no peft_type, so another library than PEFT wrote it"
            raise InvalidAdapter(name, problem, "convert the adapter to PEFT's format")
        raise InvalidAdapter(
            name, f"peft_type is {shown(config['peft_type'])}", "train it with peft_type: LORA"
        )
    check_base_name(name, config.get("base_model_name_or_path"), rules)
    refuse_features(name, config, rules.engine_rules)
    rank = _rank(name, stated(config, "r"), config.get("r"))
    ranks = _pattern(name, config, "rank_pattern", _rank)
    keys = len(ranks.keys() | _pattern(name, config, "alpha_pattern", _alpha).keys())
    if keys > MAX_PATTERN_KEYS:
        raise InvalidFiles(
            name,
            f"rank_pattern and alpha_pattern have {keys} keys, and the engine tries each on each module",
            f"use at most {MAX_PATTERN_KEYS}, such as q_proj for all modules of that name",
        )
    _check_rank(name, max(rank, *ranks.values()) if ranks else rank, rules)
    return AdapterConfig(
        rank=rank,
        alpha=_alpha(name, stated(config, "lora_alpha"), config.get("lora_alpha")),
        target_modules=_target_modules(name, config),
        excludes_modules=bool(config.get("exclude_modules")),
        rank_pattern=dict(zip(ranks, enumerate(ranks.values()), strict=True)),
        pattern_keys=keys,
        is_transposed=bool(config.get("fan_in_fan_out")),
        architecture=_architecture(config.get("auto_mapping")),
    )


def stated(config: Mapping[str, Any], key: str) -> str:
    """Return what a config states of a key, e.g. `r is 8`; a missing key is not one that is null."""
    value = config.get(key)
    if key not in config:
        return f"{key} is missing"
    return f"{key} is {'an empty list' if value == [] else shown(value)}"


def _rank(name: str, problem: str, value: Any) -> int:
    # type() instead of isinstance(): true is an int to Python.
    if type(value) is not int or value < 1:
        raise InvalidFiles(name, problem, f"write a whole number above 0 in {CONFIG_FILE}")
    return value


def _alpha(name: str, problem: str, value: Any) -> float:
    try:
        alpha = float(value) if type(value) in {int, float} else math.nan
    except OverflowError:
        alpha = math.inf
    if not (0 < alpha < math.inf):
        raise InvalidFiles(name, problem, f"write a number above 0 in {CONFIG_FILE}")
    return alpha


def _check_rank(name: str, rank: int, rules: Rules) -> None:
    """Raise `InvalidAdapter` for a rank that the stage does not serve, with those that it does."""
    engine, ranks = rules.engine_rules, rules.ranks
    if rank <= rules.max_rank and (ranks is None or rank in ranks):
        return
    problem = f"its rank {shown(rank)} is above this stage's {rules.max_rank}"
    if rank > engine.max_rank:
        problem += f", and {engine.title} serves ranks up to {engine.max_rank}"
    if ranks is None:
        remedy = f"train with rank {rules.max_rank} or lower"
    else:
        if rank not in ranks:
            served = f"{engine.title} serves only {', '.join(map(str, ranks))} on {rules.gpus} GPU(s)"
            problem = f"its rank is {shown(rank)}; {served}: others it scales wrongly or has no kernel for"
        fitting = [str(served) for served in ranks if served <= rules.max_rank]
        remedy = f"train with rank {' or '.join(fitting)}"
        if not fitting:
            remedy = f"train with rank {ranks[0]} and write engine.max_adapter_rank: {ranks[0]}"
    if rank <= engine.max_rank and (ranks is None or rank in ranks):
        remedy = f"write engine.max_adapter_rank: {rank}, or {remedy}"
    raise InvalidAdapter(name, problem, remedy)


def _pattern(name: str, config: Mapping[str, Any], key: str, check: Any) -> dict[str, Any]:
    """Return a mapping from module names to values; the names without a regular expression's signs."""
    pattern = config.get(key) or {}
    if not isinstance(pattern, dict):
        raise InvalidFiles(
            name, f"{key} is {shown(pattern)}", f"write module names with numbers, or {{}}, in {CONFIG_FILE}"
        )
    for module in pattern:
        if _PATTERN_KEY.fullmatch(module) is None:
            raise InvalidFiles(
                name,
                f"{key} has the regular expression {shown(module)}, which the engine would run",
                f"name the modules instead, one by one, in {CONFIG_FILE}",
            )
    return {
        module.replace("\\.", ".").removesuffix("$"): check(
            name, f"{key} of {shown(module)} is {shown(value)}", value
        )
        for module, value in pattern.items()
    }


def _target_modules(name: str, config: Mapping[str, Any]) -> frozenset[str] | None:
    value = config.get("target_modules")
    if isinstance(value, str) and value:
        # "all-linear" or a regular expression. It is untrusted and is not run: the tensors name the modules.
        return None
    if isinstance(value, list) and value and all(isinstance(module, str) for module in value):
        return frozenset(value)
    raise InvalidFiles(
        name,
        stated(config, "target_modules"),
        f"write a list of module names, as PEFT does, in {CONFIG_FILE}",
    )


def _architecture(auto_mapping: Any) -> str | None:
    found = auto_mapping.get("base_model_class") if isinstance(auto_mapping, dict) else None
    return found if isinstance(found, str) else None
