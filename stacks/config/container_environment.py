"""The container's environment, made from a stage's sections, and SageMaker's limits of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from adapters.engines.registry import ENGINES
from stacks.config.sections.base_model import BaseModelSource
from stacks.config.sections.engine import Engine, Gateway

#: CreateModel's limits: entries, characters of a value, bytes of all together. CloudFormation and its linters
#: check none of them, because the property is untyped there.
MAX_ENTRIES = 100
MAX_VALUE = 1024
MAX_BYTES = 32 * 1024


#: The key of the stage file that each variable is made from, in the order of the template.
KEYS: Mapping[str, str] = MappingProxyType(
    {
        "HF_MODEL_ID": "base_model.name",
        "SM_NUM_GPUS": "engine.tensor_parallel",
        "HF_MODEL_TRUST_REMOTE_CODE": "engine.trust_remote_code",
        "MAX_INPUT_LENGTH": "engine.max_input_tokens",
        "MAX_TOTAL_TOKENS": "engine.max_total_tokens",
        "DEFAULT_MAX_NEW_TOKENS": "engine.default_new_tokens",
        "MAX_NEW_TOKENS": "engine.max_new_tokens",
        "MAX_CONCURRENT_REQUESTS": "engine.max_concurrent_requests",
        "MAX_ADAPTER_RANK": "engine.max_adapter_rank",
        "MAX_ACTIVE_ADAPTERS": "engine.max_active_adapters",
        "MAX_CPU_ADAPTERS": "engine.max_cpu_adapters",
        # The gateway's variables are named as its keys.
        **{name.upper(): f"gateway.{name}" for name in Gateway.model_fields},
        "HF_MODEL_REVISION": "base_model.revision",
        "HF_MODEL_QUANTIZE": "engine.quantize",
        "DTYPE": "engine.dtype",
        "ADAPTER_TARGET_MODULES": "engine.adapter_target_modules",
        "ADAPTER_MEMORY_FRACTION": "engine.adapter_memory_fraction",
        "TOOL_CALL_PARSER": "engine.tool_call_parser",
        "ENGINE_ARGUMENTS": "engine.arguments",
    }
)


def container_environment(
    engine: Engine, gateway: Gateway, base_model: BaseModelSource, *, offline: bool
) -> dict[str, str]:
    """Make the variables, by name, without those that have no effect on the engine.

    `offline`: the base model is mounted, and the container does not use the Hub.
    """
    sections = {"engine": dict(engine), "gateway": dict(gateway), "base_model": dict(base_model)}
    values = {}
    unused = {f"engine.{name}" for name in ENGINES[engine.name].unused_settings}
    for variable, key in KEYS.items():
        section, name = key.split(".")
        if key not in unused:
            values[variable] = sections[section][name]
    environment = {
        variable: _text(value) for variable, value in values.items() if value is not None and value != {}
    }
    # Without it, a library that asks the Hub for something waits for a connection that never comes.
    return environment | ({"HF_HUB_OFFLINE": "1"} if offline else {})


def _text(value: object) -> str:
    """Format a value of a stage file for the container."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Fifteen digits keep a share below 1 below 1.
        return f"{value:.15g}"
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    return ",".join(value) if isinstance(value, list) else str(value)


def environment_problems(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what SageMaker would refuse of a whole environment, a sentence each."""
    if len(environment) > MAX_ENTRIES:
        yield f"the container would have {len(environment)} variables, SageMaker takes {MAX_ENTRIES}"
    for name, value in environment.items():
        if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) is None:
            yield f"{name!r} is no name of a variable: use letters, digits and _"
        if len(value) > MAX_VALUE:
            key = f"{KEYS[name]}: " if name in KEYS else ""
            yield (
                f"{key}the container's variable {name} would have {len(value)} characters, SageMaker takes "
                f"{MAX_VALUE}: shorten it"
            )
    size = sum(len(name.encode()) + len(value.encode()) for name, value in environment.items())
    if size > MAX_BYTES:
        yield f"the container's environment would have {size} bytes, SageMaker takes {MAX_BYTES}: shorten it"
