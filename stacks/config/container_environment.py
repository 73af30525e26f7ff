"""The container's environment, made from a stage's sections, and SageMaker's limits of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stacks.config.sections.base_model import BaseModelSource
from stacks.config.sections.engine import Engine, Gateway

#: CreateModel's limits: entries, characters of a value, bytes of all together. CloudFormation and its linters
#: check none of them, because the property is untyped there.
MAX_ENTRIES = 100
MAX_VALUE = 1024
MAX_BYTES = 32 * 1024


def container_environment(
    engine: Engine, gateway: Gateway, base_model: BaseModelSource, *, offline: bool
) -> dict[str, str]:
    """Variables by name; the names are the seed article's where it has one.

    `offline` says that the container has the base model mounted and can reach no Hub.
    """
    optional = {
        "HF_MODEL_REVISION": base_model.revision,
        "HF_MODEL_QUANTIZE": engine.quantize,
        "DTYPE": engine.dtype,
        "ADAPTER_TARGET_MODULES": ",".join(engine.adapter_target_modules or ()) or None,
        "ADAPTER_MEMORY_FRACTION": engine.adapter_memory_fraction if engine.name == "lorax" else None,
        # Without it, a library that asks the Hub for something waits for a connection that never comes.
        "HF_HUB_OFFLINE": 1 if offline else None,
    }
    return {
        "HF_MODEL_ID": base_model.name,
        "SM_NUM_GPUS": str(engine.tensor_parallel),
        "HF_MODEL_TRUST_REMOTE_CODE": str(engine.trust_remote_code).lower(),
        "MAX_INPUT_LENGTH": str(engine.max_input_tokens),
        "MAX_TOTAL_TOKENS": str(engine.max_total_tokens),
        "DEFAULT_MAX_NEW_TOKENS": str(engine.default_new_tokens),
        "MAX_NEW_TOKENS": str(engine.max_new_tokens),
        "MAX_CONCURRENT_REQUESTS": str(engine.max_concurrent_requests),
        "MAX_ADAPTER_RANK": str(engine.max_adapter_rank),
        "MAX_ACTIVE_ADAPTERS": str(engine.max_active_adapters),
        # The gateway's variables are the settings' names.
        **{name.upper(): f"{value:g}" if isinstance(value, float) else str(value) for name, value in gateway},
    } | {name: str(value) for name, value in optional.items() if value is not None}


def environment_problems(environment: Mapping[str, str]) -> Iterator[str]:
    """What SageMaker would refuse of a whole environment, a sentence each."""
    if len(environment) > MAX_ENTRIES:
        yield f"the container would have {len(environment)} variables, SageMaker takes {MAX_ENTRIES}"
    for name, value in environment.items():
        if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) is None:
            yield f"{name!r} is no name of a variable: use letters, digits and _"
        if len(value) > MAX_VALUE:
            yield (
                f"the container's variable {name} would have {len(value)} characters, SageMaker takes "
                f"{MAX_VALUE}: shorten the setting that it comes from"
            )
    size = sum(len(name.encode()) + len(value.encode()) for name, value in environment.items())
    if size > MAX_BYTES:
        yield f"the container's environment would have {size} bytes, SageMaker takes {MAX_BYTES}: shorten it"
