"""Translation of vLLM's tokens to LoRAX's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest
from container.gateway.schemas.openai import Json


def finish_reason(choice: Json) -> str:
    """Return LoRAX's finish reason; raise `GatewayError` if generation was aborted."""
    reason = choice["finish_reason"]
    if reason == "length":
        return "length"
    if reason != "stop":
        raise GatewayError.incomplete()
    return "stop_sequence" if isinstance(choice.get("stop_reason"), str) else "eos_token"


def tokens_of(choice: Json) -> list[Json]:
    """Return the tokens of one choice, or of one chunk of a stream.

    vLLM omits special tokens from the text and does not mark them. The only one that a model generates is the
    one that ends the text. Raises `GatewayError` if generation was aborted.
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
    """Translates the chunks of a vLLM stream to LoRAX's events; collects what the last event contains."""

    def __init__(self, request: GenerateRequest, usage: Usage) -> None:
        """`request` is the stream's request; `usage` is filled in by the translation."""
        self._request = request
        self._usage = usage
        self._text = request.inputs if request.parameters.return_full_text else ""

    def events(self, choice: Json) -> Iterator[Json]:
        """Yield the events of one chunk, which may have several tokens."""
        reason = finish_reason(choice) if choice["finish_reason"] else None
        tokens = tokens_of(choice)
        plain = [token for token in tokens if not token["special"]]
        # Text and tokens can differ: a character may need several tokens, and vLLM holds back text that may
        # be the start of a stop sequence. Then the chunk's last token gets the chunk's text.
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
