"""Bodies and headers of router/src/server.rs and lib.rs; keys in the order in which serde writes them."""

import json
import time
from typing import Any

from aiohttp import web

from tests.contract.lorax_double.abort import abort
from tests.contract.lorax_double.adapter import BASE_MODEL_ADAPTER_ID, extract_adapter_params
from tests.contract.lorax_double.infer import InferResponse
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.schema import GenerateRequest
from tests.contract.lorax_double.tokens import LOGPROB, Token

Json = dict[str, Any]


def encode(body: Any) -> bytes:
    """JSON as serde writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=encode(body), status=status, headers=headers, content_type="application/json", charset=None
    )


def token_json(token: Token, alternatives: int) -> Json:
    body = {"id": token.id, "text": token.text, "logprob": LOGPROB, "special": token.special}
    if alternatives:
        other = {"id": token.id, "text": token.text, "logprob": LOGPROB}
        body["alternative_tokens"] = [other] * alternatives
    return {**body, "skipped": False}


def generate_response(responses: list[InferResponse], request: GenerateRequest) -> Json:
    """The answer of /generate: of the best sequence, with the others in its details."""
    best, *others = responses
    prefix = request.inputs if request.parameters.return_full_text else ""
    body: Json = {"generated_text": prefix + best.text}
    if request.parameters.details or request.parameters.decoder_input_details:
        counts = {"generated_tokens": len(best.tokens), "skipped_tokens": 0}
        head = {"finish_reason": best.finish_reason, "prompt_tokens": len(best.prompt), **counts}
        body["details"] = {**head, "seed": best.seed, **_tokens(best)}
        if others or (request.parameters.best_of or 1) > 1:
            body["details"]["best_of_sequences"] = [_sequence(each, prefix) for each in others]
    return body


def stream_event(response: InferResponse, request: GenerateRequest) -> Json:
    """The event for the newest token; the last one has the whole text, and details if they are asked for."""
    token = token_json(response.tokens[-1], response.entry.request.return_k_alternatives)
    if response.finish_reason is None:
        return {"token": token, "generated_text": None, "details": None}
    prefix = request.inputs if request.parameters.return_full_text else ""
    details = {
        "finish_reason": response.finish_reason,
        "prompt_tokens": len(response.prompt),
        "generated_tokens": len(response.tokens),
        "seed": response.seed,
    }
    asked = request.parameters.details
    return {"token": token, "generated_text": prefix + response.text, "details": details if asked else None}


def adapter_headers(request: GenerateRequest, options: Options) -> dict[str, str]:
    """`x-model-id`, and the adapter's id and source: values that no header can have end the process."""
    asked = request.parameters
    source, params = extract_adapter_params(
        asked.adapter_id, asked.adapter_source, asked.merged_adapters, options.adapter_source
    )
    headers = {"x-model-id": options.model_id}
    ids = ",".join(each for each in params.ids if each != BASE_MODEL_ADAPTER_ID)
    shown = ids if options.adapter_header is None else options.adapter_header
    if ids and shown:
        headers |= {"x-adapter-id": _header(shown), "x-adapter-source": _header(source)}
    return headers


def timing_headers(response: InferResponse, request: GenerateRequest, start: float) -> dict[str, str]:
    """Whole milliseconds, and tokens."""
    entry, now = response.entry, time.monotonic()
    tokens = len(response.tokens)
    inference, first = now - entry.batch_time, entry.prefill_time - entry.batch_time
    seconds = {
        "x-total-time": now - start,
        "x-validation-time": entry.queue_time - start,
        "x-queue-time": entry.batch_time - entry.queue_time,
        "x-inference-time": inference,
        "x-time-per-token": inference / tokens,
        "x-time-to-first-token": first,
        "x-time-per-output-token": (inference - first) / max(tokens - 1, 1),
    }
    counts = {
        "x-prompt-tokens": len(response.prompt),
        "x-generated-tokens": tokens,
        "x-skipped-tokens": 0,
        "x-total-tokens": len(response.prompt) + tokens,
    }
    times = {name: str(int(max(value, 0) * 1000)) for name, value in seconds.items()}
    return {
        **compute_headers(request),
        "x-compute-time": times["x-total-time"],
        **times,
        **{name: str(value) for name, value in counts.items()},
    }


def compute_headers(request: GenerateRequest) -> dict[str, str]:
    return {"x-compute-type": "gpu+optimized", "x-compute-characters": str(len(request.inputs))}


def _header(value: str) -> str:
    if not all(" " <= character <= "~" or character == "\t" for character in value):
        abort("called `Result::unwrap()` on an `Err` value: InvalidHeaderValue")
    return value


def _tokens(response: InferResponse) -> Json:
    alternatives = response.entry.request.return_k_alternatives
    prefill: list[Json] = []
    if response.entry.request.prefill_logprobs:
        # The first token has no probability: NaN, which serde writes as null.
        logprobs = [None, *response.prefill_logprobs]
        prefill = [
            {"id": token.id, "text": token.text, "logprob": logprob}
            for token, logprob in zip(response.prompt, logprobs, strict=True)
        ]
    return {"prefill": prefill, "tokens": [token_json(token, alternatives) for token in response.tokens]}


def _sequence(response: InferResponse, prefix: str) -> Json:
    return {
        "generated_text": prefix + response.text,
        "finish_reason": response.finish_reason,
        "generated_tokens": len(response.tokens),
        "seed": response.seed,
        **_tokens(response),
    }
