"""The flags of lorax-launcher 0.12.1 that a stage may pass on with `engine.arguments`: those that tune it.

Each flag has a variable of its upper-case name, so the rules of `container.lorax.inherited` decide on both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from adapters.engines.lorax import RULES
from container.gateway.engine_arguments import Flag, FlagTable, Form, command_line, refused
from container.gateway.settings import Settings, SettingsError
from container.lorax.inherited import ALLOWED, REFUSED, UNUSED_SECRETS, check_inherited

#: `struct Args` of launcher/src/main.rs, by the form that its type has on the command line: a bool is a flag
#: alone, an Option<bool> takes a value, a Vec is given by repeating the flag.
_NAMES: Mapping[Form, str] = MappingProxyType(
    {
        "text": """
            model-id adapter-id source default-adapter-source adapter-source revision quantize
            preloaded-adapter-source predibase-api-token dtype hostname shard-uds-path master-addr
            huggingface-hub-cache weights-cache-override otlp-endpoint ngrok-authtoken ngrok-edge
            tokenizer-config-path backend
        """,
        "integer": """
            validation-workers num-shard compile-max-batch-size compile-max-rank speculative-tokens
            speculation-max-batch-size max-concurrent-requests max-best-of max-stop-sequences max-input-length
            max-total-tokens max-batch-prefill-tokens max-batch-total-tokens max-waiting-tokens
            max-active-adapters adapter-cycle-time-s port master-port embedding-dim
        """,
        "number": """
            waiting-served-ratio adapter-memory-fraction cuda-memory-fraction watermark-gamma watermark-delta
        """,
        "boolean": "sharded eager-prefill chunked-prefill prefix-caching cors-allow-credentials",
        "switch": """
            compile trust-remote-code merge-adapter-weights disable-custom-kernels json-output ngrok env
            download-only disable-sgmv
        """,
        "texts": """
            preloaded-adapter-ids cors-allow-origin cors-allow-header cors-expose-header cors-allow-method
        """,
    }
)
#: The container's own variable for an option that it sets under another name.
_OURS: Mapping[str, str] = MappingProxyType(
    {
        "MODEL_ID": "HF_MODEL_ID",
        "NUM_SHARD": "SM_NUM_GPUS",
        "TRUST_REMOTE_CODE": "HF_MODEL_TRUST_REMOTE_CODE",
    }
    | {str(field.alias): str(field.alias) for field in Settings.model_fields.values()}
)


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _refusal(name: str, form: Form) -> str | None:
    variable = _variable(name)
    if variable in ALLOWED:
        pattern, remedy = ALLOWED[variable]
        # A switch can only be turned on.
        return remedy if form == "switch" and re.fullmatch(pattern, "true") is None else None
    if name == "env" or variable in UNUSED_SECRETS:
        return "leave it out: LoRAX would log secrets"
    if variable in _OURS:
        return f"set {_OURS[variable]} instead"
    return REFUSED.get(variable, "leave it out: the container sets it")


FLAGS = FlagTable(
    engine=f"LoRAX {RULES.version}",
    flags={
        name: Flag(name=name, form=form, refusal=_refusal(name, form))
        for form, names in _NAMES.items()
        for name in names.split()
    },
    aliases={"p": "port", "e": "env"},
)


def passed_on(settings: Settings, inherited: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of the stage's own flags; raise `SettingsError` for one that is refused.

    `inherited` is the container's environment: the launcher reads it, too, and a flag comes first.
    """
    words = command_line(settings.engine_arguments, FLAGS)
    given = {_variable(FLAGS.find(name).name): name for name in settings.engine_arguments}
    values = {
        _variable(FLAGS.find(name).name): _text(value) for name, value in settings.engine_arguments.items()
    }
    try:
        check_inherited({**inherited, **values}, settings)
    except SettingsError as error:
        if error.variable in given:
            raise refused(given[error.variable], error.remedy) from None
        raise
    return words


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
