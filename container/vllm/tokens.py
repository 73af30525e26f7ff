"""vLLM's tokens in LoRAX's shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import Json


def finish_reason(choice: Json) -> str:
    """LoRAX's word for why generation ended; raises `GatewayError` if it was not by itself."""
    reason = choice["finish_reason"]
    if reason == "length":
        return "length"
    if reason != "stop":
        raise GatewayError.incomplete()
    return "stop_sequence" if isinstance(choice.get("stop_reason"), str) else "eos_token"


def tokens_of(choice: Json) -> list[Json]:
    """The tokens of one choice or of one piece of a stream.

    vLLM leaves special tokens out of the text and does not say which ones they are. The only one that
    a model writes by itself is the one that ends the text. Raises `GatewayError` if generation was cut off.
    """
    logprobs: dict[str, Any] = choice["logprobs"]
    tokens = [
        {"id": token_id, "text": text, "logprob": logprob, "special": False, "skipped": False}
        for token_id, text, logprob in zip(
            choice["token_ids"], logprobs["tokens"], logprobs["token_logprobs"], strict=True
        )
    ]
    if tokens and choice["finish_reason"] and finish_reason(choice) == "eos_token":
        tokens[-1]["special"] = True
    return tokens


class Transcript:
    """Turns the pieces of a vLLM stream into LoRAX's events and remembers what the last one needs."""

    def __init__(self, request: GenerateRequest, usage: Usage) -> None:
        """`request` is the one that the stream answers; `usage` is filled in."""
        self._request = request
        self._usage = usage
        self._text = request.inputs if request.parameters.return_full_text else ""

    def events(self, choice: Json) -> Iterator[Json]:
        """The events for one piece, which may hold several tokens."""
        reason = finish_reason(choice) if choice["finish_reason"] else None
        tokens = tokens_of(choice)
        plain = [token for token in tokens if not token["special"]]
        # Text and tokens can differ: a character may need several tokens, and vLLM holds text back
        # while it may become a stop sequence. Then the piece's last token carries the piece's text.
        if "".join(token["text"] for token in plain) != choice["text"] or (reason is not None and not tokens):
            for token in plain:
                token["text"] = ""
            if not plain:
                plain = [{"id": 0, "text": "", "logprob": None, "special": False, "skipped": False}]
                tokens = plain + tokens
            plain[-1]["text"] = choice["text"]
        self._text += choice["text"]
        self._usage.prompt_tokens += len(choice.get("prompt_token_ids") or ())
        self._usage.generated_tokens += len(choice["token_ids"])
        for index, token in enumerate(tokens, start=1):
            last = reason is not None and index == len(tokens)
            yield {
                "token": token,
                "generated_text": self._text if last else None,
                "details": self._details(reason) if last and self._request.parameters.details else None,
            }

    def _details(self, reason: str | None) -> Json:
        asked = self._request.parameters
        return {
            "finish_reason": reason,
            "prompt_tokens": self._usage.prompt_tokens,
            "generated_tokens": self._usage.generated_tokens,
            "seed": asked.seed if asked.samples else None,
        }
