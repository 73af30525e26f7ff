"""What LoRAX's errors mean.

LoRAX answers 424 `generation` for all that fails on a GPU's process, so only the words of its Python code
tell an adapter that is not there from one that does not fit and from a full GPU.
"""

from __future__ import annotations

from container.gateway.errors import (
    ADAPTER_INCOMPATIBLE,
    ADAPTER_LOAD_FAILED,
    ADAPTER_MISSING,
    GatewayError,
    adapter_error,
)
from container.gateway.schemas.openai import Json

#: Words of 0.12.1 and what they tell; the first that occurs counts.
_ADAPTER_WORDS = {
    "No valid adapter config file found": ADAPTER_MISSING,
    "weights found": ADAPTER_MISSING,
    "(404) when calling": ADAPTER_MISSING,
    "(NoSuchKey) when calling": ADAPTER_MISSING,
    "Architectures differ": ADAPTER_INCOMPATIBLE,
    "larger than adapter memory reservation": ADAPTER_INCOMPATIBLE,
    "Memory reserved for adapters is 0": ADAPTER_INCOMPATIBLE,
    "does not support dynamic adapter loading": ADAPTER_INCOMPATIBLE,
    "too short for prefix filtering": ADAPTER_INCOMPATIBLE,
    "Multiple models found": ADAPTER_LOAD_FAILED,
    # boto3's words for all other answers of S3, and for none.
    "when calling the": ADAPTER_LOAD_FAILED,
    "Could not connect to the endpoint URL": ADAPTER_LOAD_FAILED,
    "Connection was closed": ADAPTER_LOAD_FAILED,
    "Read timeout on endpoint URL": ADAPTER_LOAD_FAILED,
    "Unable to locate credentials": ADAPTER_LOAD_FAILED,
    "No space left on device": ADAPTER_LOAD_FAILED,
    "No such file or directory": ADAPTER_LOAD_FAILED,
    # safetensors' words for a file that is cut off or none.
    "Error while deserializing header": ADAPTER_LOAD_FAILED,
}
#: How PyTorch says that a GPU's memory is full.
_OUT_OF_MEMORY = "out of memory"


#: What LoRAX's web framework answers, in plain text, to a body that it cannot read.
_UNREADABLE = (400, 413, 422)


def refusal(status: int, body: Json) -> GatewayError:
    """The gateway's error for a LoRAX error body; `body` is empty if LoRAX's answer was no JSON."""
    if not body and status in _UNREADABLE:
        return GatewayError.validation("the engine cannot read the request")
    error_type, message = str(body.get("error_type", "")), str(body.get("error", ""))
    if error_type == "validation" or error_type in (
        "template_error",
        "missing_template_variable",
        "tool_error",
    ):
        return GatewayError(422, error_type, message)
    if error_type == "overloaded":
        return GatewayError(429, "overloaded", "Model is overloaded", retry_after_seconds=1)
    if error_type == "incomplete_generation":
        return GatewayError.incomplete()
    return _generation_error(message) if error_type == "generation" else GatewayError.generation()


def _generation_error(message: str) -> GatewayError:
    if _OUT_OF_MEMORY in message:
        return GatewayError.out_of_memory()
    for words, kind in _ADAPTER_WORDS.items():
        if words in message:
            return adapter_error(kind, message)
    return GatewayError.generation()
