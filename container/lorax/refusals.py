"""Mapping of LoRAX's errors to the gateway's.

LoRAX answers 424 `generation` for every failure in a GPU's process. Only the message of its Python code
distinguishes a missing adapter, an incompatible one and a full GPU.
"""

from __future__ import annotations

from container.gateway.errors import (
    ADAPTER_INCOMPATIBLE,
    ADAPTER_LOAD_FAILED,
    ADAPTER_MISSING,
    GatewayError,
    adapter_error,
)
from container.gateway.schemas.openai import Json, Request

_MISSING = "The adapter's objects are missing from the adapter store: publish the adapter again"
_FAILED = "LoRAX could not load the adapter; the endpoint's log has the reason"
_TOO_LARGE = (
    "The adapter is larger than LoRAX's memory for adapters: publish one of a lower rank, or raise "
    "engine.adapter_memory_fraction in the endpoint's stage file"
)
_OTHER_BASE = (
    "The adapter is of another architecture than this endpoint's base model: publish one that was trained on "
    "this base model"
)
_FIXED = "LoRAX loads no adapters for this base model; the endpoint's log has the reason"
#: Parts of 0.12.1's messages with the error type that each means and the message to the client; the first
#: match counts. LoRAX's own messages name its flags, and paths in the container.
_ADAPTER_MESSAGES = {
    "No valid adapter config file found": (ADAPTER_MISSING, _MISSING),
    "weights found": (ADAPTER_MISSING, _MISSING),
    "(404) when calling": (ADAPTER_MISSING, _MISSING),
    "(NoSuchKey) when calling": (ADAPTER_MISSING, _MISSING),
    "Architectures differ": (ADAPTER_INCOMPATIBLE, _OTHER_BASE),
    "larger than adapter memory reservation": (ADAPTER_INCOMPATIBLE, _TOO_LARGE),
    "Memory reserved for adapters is 0": (ADAPTER_INCOMPATIBLE, _TOO_LARGE),
    "does not support dynamic adapter loading": (ADAPTER_INCOMPATIBLE, _FIXED),
    "too short for prefix filtering": (ADAPTER_INCOMPATIBLE, _FIXED),
    "Multiple models found": (ADAPTER_LOAD_FAILED, _FAILED),
    # boto3's messages for all other answers of S3, and for a missing answer.
    "when calling the": (ADAPTER_LOAD_FAILED, _FAILED),
    "Could not connect to the endpoint URL": (ADAPTER_LOAD_FAILED, _FAILED),
    "Connection was closed": (ADAPTER_LOAD_FAILED, _FAILED),
    "Read timeout on endpoint URL": (ADAPTER_LOAD_FAILED, _FAILED),
    "Unable to locate credentials": (ADAPTER_LOAD_FAILED, _FAILED),
    "No space left on device": (ADAPTER_LOAD_FAILED, _FAILED),
    "No such file or directory": (ADAPTER_LOAD_FAILED, _FAILED),
    # safetensors' message for a truncated file, or one of another format.
    "Error while deserializing header": (ADAPTER_LOAD_FAILED, _FAILED),
}
#: Part of PyTorch's message for a full GPU memory.
_OUT_OF_MEMORY = "out of memory"


#: Parts of 0.12.1's messages about an answer that is no tool call (router/src/server.rs): they quote it.
_NO_CALL = ("found in generated text", "Failed to parse generated text", "Failed to serialize arguments")
#: Statuses of LoRAX's web framework, with a plain text, for a body that it cannot parse.
_UNREADABLE = (400, 413, 422)


def refusal(status: int, body: Json, request: Request) -> GatewayError:
    """Return the gateway's error for a LoRAX error; `body` is empty if LoRAX's answer was not JSON.

    `request` is the client's, by whose schema a message names its fields.
    """
    if not body and status in _UNREADABLE:
        return GatewayError.validation(
            "the engine cannot read the body: send fields and values of docs/requests.md alone"
        )
    error_type, message = str(body.get("error_type", "")), str(body.get("error", ""))
    if error_type == "validation" or error_type in (
        "template_error",
        "missing_template_variable",
        "tool_error",
    ):
        names = {"`inputs`": f"`{request.prompt_field}`", "`max_new_tokens`": f"`{request.tokens_field}`"}
        if error_type == "tool_error" and any(part in message for part in _NO_CALL):
            message = f"Tool error: `{request.tokens_field}`: the limit cut the tool call off: ask for more"
        for name, written in names.items():
            message = message.replace(name, written)
        return GatewayError(422, error_type, message)
    if error_type == "overloaded":
        return GatewayError(429, "overloaded", "Model is overloaded: try again later", retry_after_seconds=1)
    if error_type == "incomplete_generation":
        return GatewayError.incomplete()
    return _generation_error(message) if error_type == "generation" else GatewayError.generation()


def _generation_error(message: str) -> GatewayError:
    if _OUT_OF_MEMORY in message:
        return GatewayError.out_of_memory()
    for part, (error_type, sentence) in _ADAPTER_MESSAGES.items():
        if part in message:
            return adapter_error(error_type, sentence)
    return GatewayError.generation()
