"""Requests of a load test. Bodies are made when they are sent: 100,000 of them do not fit into its memory."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from adapters.affinity import adapter_first
from loraserve.load.prompts import LoadPrompt
from loraserve.workload.workload import Workload

#: Frequent English words: each is one token in the vocabularies of Mistral, Llama and Qwen (assumed; the
#: answer's usage has the true number).
_TEXT: Final = (
    "the of and to in is that it was for on are as with his they at be this from have or by one had "
    "not but what all were when we there can an your which their said if do will each about how up "
    "out them then she many some so these would other into has more her two like him see time could "
    "no make than first been its"
)
_WORDS: Final = _TEXT.split()
#: Words of the text that every random prompt is a part of; more than the longest prompt needs no new draw.
_TEXT_WORDS: Final = 4096


@dataclass(frozen=True, kw_only=True)
class LoadRequests:
    """Requests of a run, fixed before it starts, and the maker of their bodies.

    A body is in LoRAX's schema, or the payload of a file as it is.
    """

    workload: Workload
    prompts: Sequence[LoadPrompt] = ()
    """The prompt of each request; empty for random words of the workload's input length."""
    stream: bool = True
    ignore_eos: bool = False
    """True if each answer has exactly the workload's output length: no EOS token ends it."""
    seed: int = 0
    adapter_affine: bool = False
    """True if a body begins with its adapter, for prefix-aware routing."""

    @property
    def expects_texts(self) -> bool:
        """True if the text of an answer decides whether it is right."""
        return any(prompt.expect is not None or prompt.pattern is not None for prompt in self.prompts)

    def __call__(self, index: int) -> bytes:
        """Return the body of request `index`, in UTF-8."""
        prompt = self.prompts[index] if self.prompts else None
        if prompt is not None and prompt.payload is not None:
            return self._encoded(self._payload(dict(prompt.payload)))
        text = self._random_text(index) if prompt is None or prompt.text is None else prompt.text
        tokens = prompt.output_tokens if prompt is not None else None
        return self._encoded(self._request(index, text, tokens))

    def _request(self, index: int, text: str, tokens: int | None) -> dict[str, Any]:
        adapter = self.workload.name_of(index)
        parameters: dict[str, Any] = {} if adapter is None else {"adapter_id": adapter}
        parameters["max_new_tokens"] = tokens or max(1, int(self.workload.output_tokens[index]))
        # The token counts: without `details` an answer has none.
        parameters["details"] = True
        if self.ignore_eos:
            parameters["ignore_eos_token"] = True
        return {"inputs": text, "parameters": parameters, "stream": self.stream}

    def _payload(self, payload: dict[str, Any]) -> dict[str, Any]:
        payload["stream"] = self.stream
        if "inputs" in payload:
            payload["parameters"] = {**(payload.get("parameters") or {}), "details": True}
            return payload
        if self.stream:
            payload["stream_options"] = {**(payload.get("stream_options") or {}), "include_usage": True}
        else:
            payload.pop("stream_options", None)
        return payload

    def _random_text(self, index: int) -> str:
        """Return as many words as the request has input tokens.

        The first words are the request's number: no engine finds the beginning in its prefix cache.
        """
        count = max(1, int(self.workload.input_tokens[index]))
        start = random.Random(f"{self.seed}/{index}").randrange(_TEXT_WORDS)
        number = [_WORDS[int(digit, 36)] for digit in _base36(index)]
        words = self._text
        taken = [words[(start + offset) % _TEXT_WORDS] for offset in range(max(0, count - len(number)))]
        return " ".join([*number, *taken][:count])

    def _encoded(self, body: dict[str, Any]) -> bytes:
        if self.adapter_affine:
            return adapter_first(body)
        return json.dumps(body, ensure_ascii=False).encode()

    @cached_property
    def _text(self) -> list[str]:
        return random.Random(self.seed).choices(_WORDS, k=_TEXT_WORDS)


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits
