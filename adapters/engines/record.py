"""The record of an inference engine: adapters and settings that it serves, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.engines.architectures import NO_ADAPTERS, UNKNOWN, ArchitectureFacts

#: Effects of a setting of adapter_config.json that an engine does not serve; they complete "LoRAX …".
IGNORES = "ignores it silently and would answer with wrong weights"
REFUSES = "does not load such an adapter"

#: Settings of adapter_config.json that an engine may not serve, in the order in which they are checked. All
#: but `bias` are off when null, false, empty or absent; `bias` is off when "none" or absent.
FEATURES = (
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "alora_invocation_tokens",
    "layer_replication",
    "use_bdlora",
    "use_qalora",
    "trainable_token_indices",
    "kasa_config",
    "monteclora_config",
    "arrow_config",
    "megatron_config",
    "ensure_weight_tying",
    "target_parameters",
    "bias",
)


@dataclass(frozen=True, kw_only=True)
class EngineRules:
    """Adapters and settings that an engine serves, read in its own code at `version`.

    No field has a default: an engine that is added answers each question.
    """

    name: str
    """Value of `engine.name` in a stage file, and name of its folder of `container/`."""
    title: str
    """Name in messages."""
    version: str
    """Release that the record was read in."""
    refused_releases: str | None
    """Regular expression of the releases that may answer with another adapter's weights; None: none known."""
    max_rank: int
    """Highest rank of an adapter."""
    kernel_ranks: tuple[int, ...] | None
    """Ranks with kernels, per GPU, in ascending order; None: every rank up to the stage's limit is served, on
    any number of GPUs."""
    quantizations: Mapping[str, float | None]
    """Values of `engine.quantize`, with the bits per weight of a linear layer, scales and zero points
    included; None where the size is not known here."""
    architectures: Mapping[str, ArchitectureFacts]
    """Layers that adapters may change, by class of the base model; one that is missing takes no adapters."""
    serves_code: bool
    """True if the engine serves adapters of a class that is missing there, of the model's own code."""
    needs_all_layers: bool
    """True if a module that one layer lacks is left out of all layers."""
    features: Mapping[str, str | None]
    """Effect of each of `FEATURES`, e.g. `IGNORES`; None: the engine serves it."""
    reads_named_base: bool
    """True if the engine reads, from the Hub, the config of the base model that an adapter names."""
    unused_settings: Mapping[str, str]
    """Keys of a stage's `engine` section without effect, with what the engine does instead."""

    def __post_init__(self) -> None:
        """Refuse a record that leaves a feature out or names an unknown one."""
        if missing := [feature for feature in FEATURES if feature not in self.features]:
            raise ValueError(f"the record of {self.title} has no entry for the feature {missing[0]}")
        if unknown := sorted(self.features.keys() - set(FEATURES)):
            raise ValueError(f"the record of {self.title} has an unknown feature {unknown[0]}")

    @property
    def reserves_modules(self) -> bool:
        """True if the engine has slots for the stage's `engine.adapter_target_modules` only."""
        return "adapter_target_modules" not in self.unused_settings

    def ranks(self, gpus: int) -> tuple[int, ...] | None:
        """The ranks served on this number of GPUs; None for all up to the stage's limit."""
        if self.kernel_ranks is None:
            return None
        # Each GPU has its share of the rank, and needs a kernel for that, too.
        return tuple(
            rank for rank in self.kernel_ranks if rank % gpus == 0 and rank // gpus in self.kernel_ranks
        )

    def facts(self, architecture: str | None, has_code: bool) -> ArchitectureFacts:
        """Return what adapters may change of models of a class; None: not known.

        `has_code` is true for a model that comes with code for a class.
        """
        if architecture is None:
            return UNKNOWN
        return self.architectures.get(architecture, UNKNOWN if has_code and self.serves_code else NO_ADAPTERS)
