"""Validation of LoRAX's options in the container's environment, from which the launcher reads all of them.

An option is refused before LoRAX starts if LoRAX 0.12.1 would not start with it (sometimes only after loading
the model), would send prompts elsewhere, or would load no adapters. Types and rules are those of
launcher/src/main.rs, router/src/main.rs and server/lorax_server of that version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from adapters.engines.lorax import PREFILL_MARGIN
from container.gateway.settings import Settings, SettingsError

#: Secrets without a use here; the launcher logs them at start.
UNUSED_SECRETS = ("NGROK_AUTHTOKEN", "PREDIBASE_API_TOKEN")

_ONLY_THESE_ADAPTERS = "leave it out: LoRAX would load no other adapters"
_PROMPTS_LEAK = "leave it out: LoRAX would send prompts there"
_OTHER_STORE = "leave it out: LoRAX would look for adapters elsewhere than the gateway"
_OPENS_A_PORT = "leave it out: the GPUs of a model find each other on this instance, where nothing else may"
_TUNNEL = "leave it out: it is to open LoRAX to the internet, past the gateway"
_NO_BROWSER = "leave it out: only the gateway reaches LoRAX"
_ANY_VALUE_IS_ON = "leave it out: parts of LoRAX take any value for on, false as well"
_NOT_A_NUMBER = "leave it out: LoRAX reads it as text, and each batch with a watermark would fail"
#: Variables that must not be set, each with the remedy.
REFUSED = {
    "ADAPTER_ID": "leave it out: requests for the base model would be answered with this adapter",
    "PRELOADED_ADAPTER_IDS": _ONLY_THESE_ADAPTERS,
    "PRELOADED_ADAPTER_SOURCE": _ONLY_THESE_ADAPTERS,
    "WEIGHTS_CACHE_OVERRIDE": "leave it out: LoRAX would not download adapters",
    "PREDIBASE_MODEL_FOLDER": _OTHER_STORE,
    "S3_ENDPOINT_URL": f"{_OTHER_STORE}; both take AWS_ENDPOINT_URL_S3",
    "R2_ACCOUNT_ID": _OTHER_STORE,
    "REQUEST_LOGGER_URL": _PROMPTS_LEAK,
    "OTLP_ENDPOINT": _PROMPTS_LEAK,
    "NGROK_EDGE": _TUNNEL,
    "PREFIX_CACHING": _ANY_VALUE_IS_ON,
    "CHUNKED_PREFILL": _ANY_VALUE_IS_ON,
    "DISABLE_SGMV": _ANY_VALUE_IS_ON,
    "CORS_ALLOW_ORIGIN": _NO_BROWSER,
    "CORS_ALLOW_HEADER": _NO_BROWSER,
    "CORS_EXPOSE_HEADER": _NO_BROWSER,
    "CORS_ALLOW_METHOD": _NO_BROWSER,
    "CORS_ALLOW_CREDENTIALS": _NO_BROWSER,
    "MASTER_ADDR": _OPENS_A_PORT,
    "EMBEDDING_DIM": "leave it out: models that generate have none",
    "WATERMARK_GAMMA": _NOT_A_NUMBER,
    "WATERMARK_DELTA": _NOT_A_NUMBER,
    "QUANTIZE": "give HF_MODEL_QUANTIZE instead",
    "REVISION": "give HF_MODEL_REVISION instead",
    "SHARDED": "leave it out: SM_NUM_GPUS says over how many GPUs the model is spread",
}

_SWITCH = (r"true|false", "write true or false")
_WHOLE = (r"[0-9]{1,9}", "give a whole number, 0 or more")
_COUNT = (r"[1-9][0-9]{0,8}", "give a whole number, 1 or more")
_NUMBER = (r"[0-9]+(\.[0-9]+)?", "give a number such as 1.2")
_SHARE = (r"0?\.0*[1-9][0-9]*|1(\.0+)?", "give a share above 0 and up to 1, such as 0.95")
_TEXT = (r".+", "leave it out rather than empty")
#: Variables that may be set to tune LoRAX: pattern of the value, and remedy. EAGER is an option of later
#: versions, which do not start with both EAGER and COMPILE.
ALLOWED = {
    "MERGE_ADAPTER_WEIGHTS": ("false", _ONLY_THESE_ADAPTERS),
    "DOWNLOAD_ONLY": ("false", "leave it out: LoRAX would end once the model is downloaded"),
    "NGROK": ("false", _TUNNEL),
    "COMPILE": _SWITCH,
    "EAGER": _SWITCH,
    "EAGER_PREFILL": _SWITCH,
    "DISABLE_CUSTOM_KERNELS": _SWITCH,
    "BACKEND": (r"fa2|flashinfer", "write fa2 or flashinfer"),
    "VALIDATION_WORKERS": _COUNT,
    "COMPILE_MAX_BATCH_SIZE": _WHOLE,
    "COMPILE_MAX_RANK": _WHOLE,
    "SPECULATIVE_TOKENS": _WHOLE,
    "SPECULATION_MAX_BATCH_SIZE": _WHOLE,
    "MAX_BATCH_PREFILL_TOKENS": _COUNT,
    "MAX_BATCH_TOTAL_TOKENS": _COUNT,
    "MAX_WAITING_TOKENS": _WHOLE,
    "WAITING_SERVED_RATIO": _NUMBER,
    "ADAPTER_CYCLE_TIME_S": _WHOLE,
    "CUDA_MEMORY_FRACTION": _SHARE,
    "MEMORY_WIGGLE_ROOM": _SHARE,
    "MASTER_PORT": _COUNT,
    "SHARD_UDS_PATH": _TEXT,
    "TOKENIZER_CONFIG_PATH": _TEXT,
    "DEBUG": (r"(?!1$).*", "leave it out: the GPUs of a model would not add up their results"),
}


def check_inherited(inherited: Mapping[str, str], settings: Settings) -> None:
    """Raise `SettingsError` for the first variable in `REFUSED`, or with a value that is not in `ALLOWED`."""
    for variable, remedy in REFUSED.items():
        if variable in inherited:
            raise SettingsError(variable, inherited[variable], remedy)
    for variable, (pattern, remedy) in ALLOWED.items():
        value = inherited.get(variable)
        if value is not None and re.fullmatch(pattern, value) is None:
            raise SettingsError(variable, value, remedy)
    if inherited.get("COMPILE") == inherited.get("EAGER") == "true":
        raise SettingsError("EAGER", "true", "it is the opposite of COMPILE: leave one of them out")
    _check_batches(inherited, settings)


def _check_batches(inherited: Mapping[str, str], settings: Settings) -> None:
    prefill = inherited.get("MAX_BATCH_PREFILL_TOKENS")
    if prefill is not None and int(prefill) < settings.max_input_tokens:
        raise SettingsError(
            "MAX_BATCH_PREFILL_TOKENS",
            prefill,
            f"it must not be below MAX_INPUT_LENGTH, which is {settings.max_input_tokens}",
        )
    total = inherited.get("MAX_BATCH_TOTAL_TOKENS")
    least = max(settings.max_total_tokens, int(prefill or settings.max_input_tokens + PREFILL_MARGIN))
    if total is not None and int(total) < least:
        raise SettingsError(
            "MAX_BATCH_TOTAL_TOKENS", total, f"one prompt and one request must fit: give {least} or more"
        )
