"""LoRAX's log lines: 0.12.1 puts the request, prompt included, beside each line of two modules."""

import os

SERVER, INFER, LOADER = "lorax_router::server", "lorax_router::infer", "lorax_router::loader"


def log(target: str, message: str, prompt: str | None = None) -> None:
    """`prompt` is what the line's span holds: `#[instrument(skip(self))]` on `Infer::generate`."""
    if f"{target}=off" in os.environ.get("LOG_LEVEL", "info").split(","):
        return
    span = "" if prompt is None else f" request: GenerateRequest {{ inputs: {prompt!r}, .. }}"
    print(f"INFO {target}: {message}{span}", flush=True)
