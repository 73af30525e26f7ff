"""/v1/completions and /v1/chat/completions (router/src/lib.rs): OpenAI's schemas, with LoRAX's deviations."""

import time
from dataclasses import dataclass
from typing import Any

from tests.contract.lorax_double.errors import InferError
from tests.contract.lorax_double.json_body import (
    REQUIRED,
    Fields,
    Mismatch,
    anything,
    boolean,
    f32,
    i32,
    optional,
    sequence,
    string,
    struct,
    u64,
)
from tests.contract.lorax_double.schema import ANY_OBJECT, GenerateParameters, GenerateRequest, format_type
from tests.contract.lorax_double.tokens import BOS, EOS

Json = dict[str, Any]

FINISH_REASONS = {"length": "length", "eos_token": "stop", "stop_sequence": "content_filter"}


@dataclass(frozen=True)
class OpenAiRequest:
    """The common form of both schemas."""

    generate: GenerateRequest
    model: str


def _request(**fields: Any) -> Json:
    return fields


#: What both schemas have; other fields are ignored. `stop` must be an array.
_COMMON: Fields = {
    "model": (string, REQUIRED),
    "max_tokens": (optional(i32), None),
    "temperature": (optional(f32), None),
    "top_p": (optional(f32), None),
    "n": (optional(i32), None),
    "stream": (optional(boolean), None),
    "stop": (sequence(string), ()),
    "presence_penalty": (optional(f32), None),
    "frequency_penalty": (optional(f32), None),
    "seed": (optional(u64), None),
    "repetition_penalty": (optional(f32), None),
    "top_k": (optional(i32), None),
    "ignore_eos_token": (optional(boolean), None),
    "adapter_source": (optional(string), None),
    "api_token": (optional(string), None),
}
_COMPLETION: Fields = {
    **_COMMON,
    "prompt": (string, REQUIRED),
    "logprobs": (optional(i32), None),
    "echo": (optional(boolean), None),
    "best_of": (optional(i32), None),
}


def _content(value: Any) -> str:
    """A message's text, or its parts in one piece."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise Mismatch("data did not match any variant of untagged enum MessageContent")
    texts = [part.get("text") if part.get("type") == "text" else _image(part) for part in value]
    if None in texts:
        raise Mismatch("data did not match any variant of untagged enum MessageContent")
    return "".join(str(text) for text in texts)


def _image(part: Json) -> str | None:
    place = part.get("image_url")
    return f"![]({place['url']})" if isinstance(place, dict) and "url" in place else None


_MESSAGE: Fields = {"role": (string, REQUIRED), "content": (optional(_content), None)}
_RESPONSE_FORMAT: Fields = {
    "type": (format_type, REQUIRED),
    "json_schema": (optional(anything), None),
    "schema": (optional(anything), ANY_OBJECT),
}
_CHAT: Fields = {
    **_COMMON,
    "messages": (sequence(struct(_request, _MESSAGE)), REQUIRED),
    "response_format": (optional(struct(_request, _RESPONSE_FORMAT)), None),
    "tools": (optional(sequence(anything)), None),
}
read_completion = struct(_request, _COMPLETION)
read_chat = struct(_request, _CHAT)


def completion_request(body: Json, model_id: str) -> GenerateRequest:
    """Samples only if `n` is there; `logprobs` asks for the prompt's."""
    parameters = _parameters(
        body,
        model_id,
        best_of=_as_unsigned(body["best_of"], 64),
        temperature=body["temperature"],
        do_sample=body["n"] is not None,
        return_full_text=body["echo"],
        decoder_input_details=body["logprobs"] is not None,
    )
    return GenerateRequest(body["prompt"], parameters, stream=bool(body["stream"]))


def chat_request(body: Json, model_id: str) -> GenerateRequest:
    """Samples unless the temperature is 0. Tools are left out. Raises `InferError`."""
    if body["response_format"] is not None and body["tools"] is not None:
        raise InferError.tool("Response format and tools are mutually exclusive")
    greedy = body["temperature"] == 0
    parameters = _parameters(
        body,
        model_id,
        best_of=_as_unsigned(body["n"], 64),
        temperature=None if greedy else body["temperature"],
        do_sample=not greedy,
        response_format=_schema(body["response_format"]),
    )
    prompt = _apply_chat_template(body["messages"])
    return GenerateRequest(prompt, parameters, stream=bool(body["stream"]), add_special_tokens=False)


def completion_response(response: Json) -> Json:
    """Of what /generate answers."""
    details = response["details"]
    choice = {
        "index": 0,
        "text": response["generated_text"],
        "logprobs": None,
        "finish_reason": FINISH_REASONS[details["finish_reason"]],
    }
    return {**_head("text_completion"), "choices": [choice], "usage": _usage(details)}


def chat_response(response: Json, model_id: str) -> Json:
    """Of what /generate answers."""
    details = response["details"]
    texts = [response["generated_text"]]
    texts += [each["generated_text"] for each in details.get("best_of_sequences", ())]
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": FINISH_REASONS[details["finish_reason"]],
        }
        for index, text in enumerate(texts)
    ]
    head = _head("text_completion") | {"created": int(time.time()), "model": model_id}
    return {**head, "choices": choices, "usage": _usage(details), "system_fingerprint": "0.1.0-native"}


def completion_chunk(event: Json) -> Json:
    """Of one event of /generate_stream; usage is there each time, zero until the last."""
    reason, details = _reason(event), event["details"]
    text = "" if reason == "stop" else event["token"]["text"]
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    usage = _usage(details or {"prompt_tokens": 0, "generated_tokens": 0})
    return {**_head("text_completion"), "choices": [choice], "usage": usage}


def chat_chunk(event: Json) -> Json:
    """Of one event of /generate_stream; the end mark's delta is empty."""
    reason, details = _reason(event), event["details"]
    delta = {} if reason == "stop" else {"role": "assistant", "content": event["token"]["text"]}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {**_head("chat.completion.chunk"), "choices": [choice]}
    return chunk | ({"usage": _usage(details)} if details else {})


def _parameters(body: Json, model_id: str, **special: Any) -> GenerateParameters:
    base = body["model"] in ("", model_id)
    return GenerateParameters(
        adapter_id=None if base else body["model"],
        adapter_source=body["adapter_source"],
        api_token=body["api_token"],
        repetition_penalty=body["repetition_penalty"],
        frequency_penalty=body["frequency_penalty"],
        presence_penalty=body["presence_penalty"],
        top_k=body["top_k"],
        top_p=body["top_p"],
        max_new_tokens=_as_unsigned(body["max_tokens"], 32),
        ignore_eos_token=bool(body["ignore_eos_token"]),
        stop=body["stop"],
        details=True,
        seed=body["seed"],
        **special,
    )


def _as_unsigned(number: int | None, bits: int) -> int | None:
    """Rust's `as`: a negative number becomes a huge one."""
    return None if number is None else number % (1 << bits)


def _schema(response_format: Json | None) -> Any:
    kind = (response_format or {}).get("type", "text").lower().replace("_", "")
    if response_format is None or kind == "text":
        return None
    if kind == "jsonschema":
        return (response_format["json_schema"] or {}).get("schema") or ANY_OBJECT
    return response_format["schema"] or ANY_OBJECT


def _apply_chat_template(messages: list[Json]) -> str:
    """Apply the sample base model's chat template."""
    text = BOS
    for message in messages:
        content = message["content"] or ""
        if message["role"] == "user":
            text += f"[INST] {content} [/INST]"
        elif message["role"] == "assistant":
            text += f" {content}{EOS}"
        else:
            raise InferError.template("syntax error: Only user and assistant roles are supported")
    return text


def _head(kind: str) -> Json:
    return {"id": "null", "object": kind, "created": 0, "model": "null"}


def _reason(event: Json) -> str | None:
    return FINISH_REASONS[event["details"]["finish_reason"]] if event["details"] else None


def _usage(details: Json) -> Json:
    prompt, completion = details["prompt_tokens"], details["generated_tokens"]
    return {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
