"""Check of the container's environment by the container's own reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from container.gateway.engine_arguments import FlagTable
from container.gateway.settings import Settings, SettingsConflict, SettingsError, read_settings
from container.lorax.flags import FLAGS as LORAX_FLAGS
from container.lorax.settings_check import check_settings as check_lorax
from container.vllm.flags import FLAGS as VLLM_FLAGS
from container.vllm.settings_check import check_settings as check_vllm
from stacks.config.container_environment import KEYS

#: Stand-ins for variables whose values only the stacks know (`stacks.serving.serving_stack.ServingStack`).
ADDED_LATER: Mapping[str, str] = MappingProxyType(
    {
        "ADAPTER_BUCKET": "bucket",
        "ENDPOINT_NAME": "endpoint",
        "VARIANT_NAME": "variant",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
)
#: The container's reader of each engine, by name as in `adapters.engines.registry.ENGINES`.
READERS: dict[str, Callable[[Settings, Mapping[str, str]], None]] = {
    "lorax": check_lorax,
    "vllm": check_vllm,
}

#: The flags of each engine that takes some, for the reference page.
FLAGS: dict[str, FlagTable] = {"lorax": LORAX_FLAGS, "vllm": VLLM_FLAGS}
#: Variables whose values have no quotes in a stage file.
_NUMBERS = {field.alias for field in Settings.model_fields.values() if field.annotation in {int, float}}


def container_problem(engine: str, environment: Mapping[str, str]) -> str | None:
    """Return what the container of `engine` would refuse of its environment, in a sentence; None if nothing.

    The sentence names the keys of the stage file that the variables are made from.
    """
    whole = {**environment, **ADDED_LATER}
    try:
        READERS[engine](read_settings(whole), whole)
    except SettingsConflict as conflict:
        section = KEYS[conflict.variable].partition(".")[0]
        return f"{section}: {_with_keys(conflict.remedy).replace(f'{section}.', '')}"
    except SettingsError as error:
        value = error.value if error.variable in _NUMBERS else repr(error.value)
        return f"{KEYS[error.variable]}: {value}: {_with_keys(error.remedy)}"
    return None


def _with_keys(sentence: str) -> str:
    """Replace each variable's name in a sentence of the container by its key."""
    return re.sub(r"[A-Z_]{2,}", lambda name: KEYS.get(name[0], name[0]), sentence)
