"""The settings that vLLM 0.32.0 can serve; synth checks a stage file by it, too.

Imports nothing of vLLM or of the gateway's server, so that a stage file is read fast and anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.engines.vllm import QUANTIZATIONS, RANKS
from container.gateway.settings import Settings, SettingsError


def check_settings(settings: Settings, _environment: Mapping[str, str]) -> None:
    """Raise `SettingsError` for a variable with which vLLM could not serve.

    The container's environment is not used: vLLM's options come from the settings alone.
    """
    if settings.quantize is not None and settings.quantize not in QUANTIZATIONS:
        raise SettingsError(
            "HF_MODEL_QUANTIZE",
            settings.quantize,
            f"leave it out, or give one that vLLM knows: {', '.join(QUANTIZATIONS)}",
        )
    slot_rank(settings)


def slot_rank(settings: Settings) -> int:
    """The rank of vLLM's slots: the smallest that vLLM has for adapters of up to `max_adapter_rank`."""
    rank = settings.max_adapter_rank
    for allowed in RANKS:
        if rank <= allowed:
            return allowed
    raise SettingsError("MAX_ADAPTER_RANK", str(rank), f"vLLM serves ranks up to {RANKS[-1]}")
