"""Bodies of requests in LoRAX's schema, docs/requests.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loraserve.workload.workload import Workload


@dataclass(frozen=True)
class LoraxBodies:
    """Bodies of a workload's requests, each made when it is sent."""

    workload: Workload
    stream: bool
    prompts: Sequence[str] | None = None
    """The prompt of each request; None: generated text of about as many tokens as the workload says."""
    salt: str = ""
    """First word of generated prompts; another one for another run, whose prompts no cache then has."""
    exact_length: bool = True
    """True: the model writes exactly `output_tokens`, an end of text or not, so that runs do equal work."""

    def __call__(self, index: int) -> bytes:
        """Return the body of request `index`."""
        workload = self.workload
        parameters: dict[str, Any] = {
            "max_new_tokens": int(workload.output_tokens[index]),
            # Token counts of the engine, in the last event or the whole answer.
            "details": True,
        }
        if self.exact_length:
            parameters["ignore_eos_token"] = True
        if (adapter := workload.name_of(index)) is not None:
            parameters["adapter_id"] = adapter
        prompt = (
            generated_prompt(f"{self.salt}{index}", int(workload.input_tokens[index]))
            if self.prompts is None
            else self.prompts[index]
        )
        return json.dumps({"inputs": prompt, "parameters": parameters, "stream": self.stream}).encode()


def generated_prompt(first_word: str, tokens: int) -> str:
    """Return a prompt of about `tokens` tokens; prompts with different first words share no cached prefix.

    A short English word is one token of most tokenizers (assumed); the answers have the engine's count.
    """
    return " ".join([first_word, *["the"] * (tokens - 1)])
