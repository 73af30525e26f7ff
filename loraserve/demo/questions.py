"""Questions of the demo's load: word problems for the base model and the adapters, whose answers are checked."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from samples.problems import Problem, Verdict, check, check_start, random_problem

#: The article's load: 20 clients, 64 new tokens at most.
CLIENTS = 20
NEW_TOKENS = 64
#: Tokens of every answer where all answers are equally long. The base model's answers are longer; an adapter's
#: are shorter, and go on after their end.
EQUAL_TOKENS = 48


@dataclass(frozen=True)
class Question:
    """A problem, and the model that is asked."""

    adapter: str | None
    """None for the base model."""
    problem: Problem

    def body(self, model: str, *, equal: bool) -> bytes:
        """Return the request in OpenAI's completion schema, which the gateway and vLLM have in common.

        `model` is the model's name at the server. With `equal` the answer has `EQUAL_TOKENS` tokens, because
        the engine does not stop at the end of the text.
        """
        tokens = {"max_tokens": EQUAL_TOKENS, "ignore_eos": True} if equal else {"max_tokens": NEW_TOKENS}
        return json.dumps({"model": model, "prompt": self.problem.prompt, "temperature": 0} | tokens).encode()

    def verdict(self, text: str, *, equal: bool) -> Verdict:
        """Check the text of the answer."""
        if equal or self.adapter is None:
            return check_start(text, self.problem, self.adapter)
        return check(text, self.problem, self.adapter)


def draw(models: Sequence[str | None], count: int, seed: int) -> list[Question]:
    """Draw `count` questions. Each model is asked equally often, as far as the numbers allow, in random order."""
    rng = random.Random(seed)
    chosen = [models[index % len(models)] for index in range(count)]
    rng.shuffle(chosen)
    return [Question(model, random_problem(rng)) for model in chosen]
