"""Translation of LoRAX's schema to vLLM's `/v1/completions`."""

from __future__ import annotations

from container.gateway.errors import GatewayError
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import Json
from container.vllm.tokens import finish_reason, tokens_of


def check_supported(request: GenerateRequest) -> None:
    """Raise `GatewayError` 422 for features that vLLM does not have."""
    asked = request.parameters
    refused = {
        "best_of": (asked.best_of or 1) > 1,
        "typical_p": asked.typical_p is not None,
        "truncate": asked.truncate is not None,
        "watermark": asked.watermark,
        "decoder_input_details": asked.decoder_input_details,
        "return_k_alternatives": asked.return_k_alternatives is not None,
        "response_format": asked.response_format is not None,
    }
    for name, present in refused.items():
        if present:
            raise GatewayError.validation(
                f"`parameters.{name}` is not supported by this endpoint's engine, vLLM: leave it out"
            )


def completion_body(request: GenerateRequest, *, default_new_tokens: int, tokens: bool) -> Json:
    """Return vLLM's request; `tokens` adds the tokens to its answer, which takes time."""
    asked = request.parameters
    body: Json = {
        "prompt": request.inputs,
        "max_tokens": request.new_tokens(default_new_tokens),
        "temperature": 0,
        "stop": asked.stop,
        "include_stop_str_in_output": True,
        "ignore_eos": asked.ignore_eos_token,
    }
    if asked.samples:
        body["temperature"] = 1 if asked.temperature is None else asked.temperature
        body |= _given(top_k=asked.top_k, top_p=asked.top_p, seed=asked.seed)
    body |= _given(
        repetition_penalty=asked.repetition_penalty,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
    )
    if tokens:
        body |= {"logprobs": 0, "return_token_ids": True}
    return body


def generated(request: GenerateRequest, answer: Json) -> Json:
    """Translate vLLM's whole answer to LoRAX's."""
    choice = answer["choices"][0]
    prefix = request.inputs if request.parameters.return_full_text else ""
    result: Json = {"generated_text": prefix + choice["text"]}
    reason = finish_reason(choice)
    if request.parameters.details:
        result["details"] = {
            "finish_reason": reason,
            "prompt_tokens": answer["usage"]["prompt_tokens"],
            "generated_tokens": answer["usage"]["completion_tokens"],
            "skipped_tokens": 0,
            "seed": request.parameters.seed if request.parameters.samples else None,
            "prefill": [],
            "tokens": tokens_of(choice),
        }
    return result


def _given(**parameters: float | None) -> Json:
    return {name: value for name, value in parameters.items() if value is not None}
