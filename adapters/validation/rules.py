"""The rules of a stage for its adapters."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from adapters.engines.record import EngineRules
from adapters.engines.registry import ENGINES
from adapters.names import check_module

#: Increment when a formerly valid adapter may become invalid: published ones are then checked again.
RULES_VERSION = 2
#: At the end of `Rules.checked_for`, where the base model could not be read.
DIMENSIONS_UNKNOWN = ", dimensions unknown"


@dataclass(frozen=True)
class Rules:
    """The rules of a stage for its adapters."""

    engine: str
    """Name of an engine, a key of `adapters.engines.registry.ENGINES`."""
    max_rank: int
    """The stage's `engine.max_adapter_rank`."""
    base_model: str
    """Name of the base model, and the usual `base_model_name_or_path` of an adapter's config."""
    target_modules: tuple[str, ...] | None = None
    """The stage's `engine.adapter_target_modules`, for an engine with slots per module. None: all."""
    gpus: int = 1
    """Number of GPUs that share the model, the stage's `engine.tensor_parallel`: ranks may be split."""
    also_known_as: tuple[str, ...] = ()
    """The stage's `base_model.also_known_as`: other names of the base model in adapters' configs."""

    def __post_init__(self) -> None:
        """Refuse an unknown engine and an invalid module name."""
        if self.engine not in ENGINES:
            raise ValueError(f"engine {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.target_modules == ():
            raise ValueError("target_modules is empty: use None for all modules")
        for module in self.target_modules or ():
            check_module(module)

    @property
    def identity(self) -> str:
        """Equal for equal rules; it changes when `check_adapter` refuses more than before."""
        return json.dumps({"version": RULES_VERSION} | asdict(self), sort_keys=True)

    def checked_for(self, base_revision: str, *, dimensions_known: bool = True) -> str:
        """The value of a registry entry's `checked_for`: the rules that its adapter passed."""
        return f"{self.identity} {base_revision}" + ("" if dimensions_known else DIMENSIONS_UNKNOWN)

    def is_base_model(self, name: str) -> bool:
        """Return whether a config's `base_model_name_or_path` means the base model; empty: it names none.

        Without regard to case, as the Hub compares ids: "repo ids are case insensitive across the Hub"
        (huggingface/huggingface_hub#2090).
        """
        return name.lower() in {known.lower() for known in (self.base_model, *self.also_known_as)}

    @property
    def engine_rules(self) -> EngineRules:
        """The record of the engine."""
        return ENGINES[self.engine]

    @property
    def ranks(self) -> tuple[int, ...] | None:
        """The ranks that the engine serves, None for all up to the highest."""
        return self.engine_rules.ranks(self.gpus)

    @property
    def slots(self) -> tuple[str, ...] | None:
        """The modules that the engine has slots for; None: for all, or an engine without slots per module."""
        return self.target_modules if self.engine_rules.reserves_modules else None
