"""A comparison: one prompt, the same settings, several models, answers that stream at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loraserve.client import EndpointClient
from loraserve.playground.sentences import sentence

#: Seconds between two states of a comparison: a page that is drawn more often only flickers.
STEP_S = 0.1
#: Name of the base model among the picked models.
BASE = "base model"


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings that all answers of a comparison share."""

    temperature: float = 0.0
    """0: the most likely token each time."""
    tokens: int = 64
    """Most tokens of an answer."""
    seed: int = 0

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a request in LoRAX's schema."""
        if self.temperature == 0:
            return {"max_new_tokens": self.tokens, "do_sample": False}
        sampled = {"temperature": self.temperature, "do_sample": True, "seed": self.seed}
        return {"max_new_tokens": self.tokens} | sampled


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """One model's answer so far; times in seconds since its request was sent."""

    model: str
    """`BASE`, or the adapter that was asked, as name or name@revision."""
    prompt: str
    answered_by: str | None = None
    """name@revision that the container names; None for the base model, or before it answers."""
    text: str = ""
    tokens: int = 0
    first_token_s: float | None = None
    """Time to first token."""
    last_token_s: float | None = None
    error: str | None = None
    """A sentence, if the answer failed; `text` is what had arrived."""
    is_complete: bool = False

    @property
    def tokens_per_second(self) -> float | None:
        """Rate after the first token; None for fewer than two tokens."""
        if self.first_token_s is None or self.last_token_s is None or self.last_token_s <= self.first_token_s:
            return None
        return (self.tokens - 1) / (self.last_token_s - self.first_token_s)


def ask(client: EndpointClient, model: str, prompt: str, sampling: Sampling) -> Iterator[ModelAnswer]:
    """Yield one model's answer after each token, then complete; an error is in the answer, not raised."""
    answer = ModelAnswer(model=model, prompt=prompt)
    started = time.perf_counter()
    try:
        adapter = None if model == BASE else model
        stream = client.open_stream(prompt, adapter=adapter, **sampling.parameters())
        answer = replace(answer, answered_by=stream.adapter)
        for token in stream.tokens:
            now = time.perf_counter() - started
            answer = replace(
                answer,
                text=answer.text + ("" if token["special"] else token["text"]),
                tokens=answer.tokens + 1,
                first_token_s=now if answer.first_token_s is None else answer.first_token_s,
                last_token_s=now,
            )
            yield answer
    except Exception as error:
        if (said := sentence(error, client.endpoint)) is None:
            raise
        answer = replace(answer, error=said)
    yield replace(answer, is_complete=True)


def compare(
    client: EndpointClient, models: Sequence[str], prompt: str, sampling: Sampling
) -> Iterator[list[ModelAnswer]]:
    """Ask all models at the same time; yield their answers several times a second until all are complete."""
    answers = [ModelAnswer(model=model, prompt=prompt) for model in models]
    stopped = threading.Event()

    def follow(index: int) -> None:
        for answer in ask(client, models[index], prompt, sampling):
            answers[index] = answer
            if stopped.is_set():
                return

    threads = [threading.Thread(target=follow, args=(index,), daemon=True) for index in range(len(models))]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            yield list(answers)
            time.sleep(STEP_S)
        yield [
            answer if answer.is_complete else replace(answer, error="The page failed.", is_complete=True)
            for answer in answers
        ]
    finally:
        stopped.set()
