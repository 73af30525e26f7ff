"""Options of the launcher (launcher/src/main.rs): each option has an environment variable."""

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

#: clap takes only `true` and `false` for these.
_SWITCHES = ("TRUST_REMOTE_CODE", "JSON_OUTPUT", "EAGER_PREFILL", "COMPILE", "MERGE_ADAPTER_WEIGHTS")
#: Options of the double that are flags, too (`struct Args`), each with a value.
_FLAGS = ("adapter-cycle-time-s", "eager-prefill", "max-waiting-tokens", "waiting-served-ratio")
#: Without a model's config the launcher takes these.
_MAX_INPUT_LENGTH, _MAX_TOTAL_TOKENS = 4095, 4096


@dataclass(frozen=True)
class Options:
    """LoRAX's options with its defaults, then the double's own: `LORAX_DOUBLE_…`."""

    model_id: str
    adapter_source: str
    max_input_length: int
    max_total_tokens: int
    max_concurrent_requests: int
    max_active_adapters: int
    adapter_cycle_time_s: float
    max_best_of: int
    max_stop_sequences: int
    waiting_served_ratio: float
    max_waiting_tokens: int
    eager_prefill: bool
    adapter_memory_fraction: float

    start_seconds: float
    """Seconds to load the model; no port is open before."""
    gpu_bytes: float
    """Memory of the GPU that the double pretends to have."""
    download_seconds: float
    """Seconds that a download takes in addition to S3's, with the shard's loop blocked."""
    load_seconds: float
    """The same for a load from the disk."""
    token_seconds: float
    """Seconds of one step of generation."""
    slow_token_seconds: float
    """The same for a batch with `[[slow]]` in a prompt."""
    adapter_header: str | None
    """The adapter that every answer of an adapter names, "" for none: LoRAX would not do that."""
    keep_alive_seconds: float
    """Silence after which a stream gets a comment: axum's default is 15 s."""

    @property
    def adapter_memory_size(self) -> float:
        """Bytes that are reserved for adapters (models/flash_causal_lm.py)."""
        return self.adapter_memory_fraction * self.gpu_bytes


def read_options() -> Options:
    """Read the environment; ends the process as clap does if a value cannot be used."""
    for name in _SWITCHES:
        if os.environ.get(name, "true") not in ("true", "false"):
            _refuse(name, os.environ[name], "[possible values: true, false]")
    options = Options(
        model_id=os.environ.get("MODEL_ID", "mistralai/Mistral-7B-Instruct-v0.1"),
        adapter_source=os.environ.get("DEFAULT_ADAPTER_SOURCE", os.environ.get("ADAPTER_SOURCE", "hub")),
        max_input_length=_number("MAX_INPUT_LENGTH", _MAX_INPUT_LENGTH, int),
        max_total_tokens=_number("MAX_TOTAL_TOKENS", _MAX_TOTAL_TOKENS, int),
        max_concurrent_requests=_number("MAX_CONCURRENT_REQUESTS", 128, int),
        max_active_adapters=_number("MAX_ACTIVE_ADAPTERS", 1024, int),
        adapter_cycle_time_s=_number("ADAPTER_CYCLE_TIME_S", 2, int),
        max_best_of=_number("MAX_BEST_OF", 2, int),
        max_stop_sequences=_number("MAX_STOP_SEQUENCES", 4, int),
        waiting_served_ratio=_number("WAITING_SERVED_RATIO", 1.2, float),
        max_waiting_tokens=_number("MAX_WAITING_TOKENS", 20, int),
        eager_prefill=os.environ.get("EAGER_PREFILL", "false") == "true",
        adapter_memory_fraction=_number("ADAPTER_MEMORY_FRACTION", 0.1, float),
        start_seconds=_number("LORAX_DOUBLE_START_SECONDS", 0, float),
        gpu_bytes=_number("LORAX_DOUBLE_GPU_BYTES", 24e9, float),
        download_seconds=_number("LORAX_DOUBLE_DOWNLOAD_SECONDS", 0, float),
        load_seconds=_number("LORAX_DOUBLE_LOAD_SECONDS", 0, float),
        token_seconds=_number("LORAX_DOUBLE_TOKEN_SECONDS", 0, float),
        slow_token_seconds=_number("LORAX_DOUBLE_SLOW_TOKEN_SECONDS", 0.2, float),
        adapter_header=os.environ.get("LORAX_DOUBLE_ADAPTER_HEADER"),
        keep_alive_seconds=_number("LORAX_DOUBLE_KEEP_ALIVE_SECONDS", 15, float),
    )
    if options.max_input_length >= options.max_total_tokens:
        sys.exit('Error: ArgumentValidation("`max_input_length` must be < `max_total_tokens`")')
    return options


def read_command_line() -> argparse.Namespace:
    """The flags that our containers use. SageMaker's `serve` is one argument too many for LoRAX.

    A flag comes before its variable, as in clap; those of the options become variables here.
    """
    parser = argparse.ArgumentParser(prog="lorax-launcher", allow_abbrev=False)
    parser.add_argument("--hostname", default="127.0.0.1")
    parser.add_argument("--port", "-p", type=int, default=int(os.environ.get("PORT", "3000")))
    parser.add_argument("--json-output", action="store_true")
    parser.add_argument("--compile", action="store_const", const="true")
    for name in _FLAGS:
        parser.add_argument(f"--{name}")
    asked = parser.parse_args()
    for name in ("compile", *_FLAGS):
        value = getattr(asked, name.replace("-", "_"))
        if value is not None:
            os.environ[name.replace("-", "_").upper()] = value
    return asked


def _number(name: str, default: float, kind: type) -> Any:
    text = os.environ.get(name)
    if text is None:
        return kind(default)
    try:
        return kind(text)
    except ValueError:
        _refuse(name, text, "invalid digit found in string" if kind is int else "invalid float literal")


def _refuse(name: str, value: str, why: str) -> NoReturn:
    flag = name.lower().replace("_", "-")
    print(f"error: invalid value '{value}' for '--{flag} <{name}>': {why}", file=sys.stderr)
    sys.exit(2)
