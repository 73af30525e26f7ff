"""The settings that LoRAX 0.12.1 can serve; synth checks a stage file by it, too.

Imports nothing of LoRAX or of the gateway's server, so that a stage file is read fast and anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.closest import closest
from adapters.engines.lorax import DTYPES, RULES
from container.gateway.settings import Settings, SettingsConflict, SettingsError
from container.lorax.flags import passed_on
from container.lorax.inherited import check_inherited


def check_settings(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise `SettingsError` for a variable, ours or LoRAX's own, with which LoRAX could not serve.

    `environment` is the container's whole environment, which LoRAX inherits.
    """
    if settings.quantize is not None and settings.quantize not in RULES.quantizations:
        raise SettingsError(
            "HF_MODEL_QUANTIZE",
            settings.quantize,
            f"leave it out, or give one that LoRAX knows: {', '.join(RULES.quantizations)}"
            f"{closest(settings.quantize, RULES.quantizations)}",
        )
    if settings.dtype is not None and settings.dtype not in DTYPES:
        raise SettingsError("DTYPE", settings.dtype, f"LoRAX knows {' and '.join(DTYPES)}")
    if settings.quantize is not None and settings.dtype is not None:
        raise SettingsConflict(
            "DTYPE",
            settings.dtype,
            "HF_MODEL_QUANTIZE and DTYPE exclude each other: LoRAX refuses both together",
        )
    if settings.max_adapter_rank > RULES.max_rank:
        raise SettingsError(
            "MAX_ADAPTER_RANK",
            str(settings.max_adapter_rank),
            f"LoRAX serves ranks up to {RULES.max_rank}",
        )
    check_inherited(environment, settings)
    passed_on(settings, environment)
