"""Questions of the demo's load: word problems for base model and adapters, whose answers are checked."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loraserve.load.job import LoadJob, Target
from loraserve.workload.workload import Workload
from samples.problems import Problem, Verdict, check, check_start, random_problem

#: The article's load: 20 clients, 64 new tokens at most.
CLIENTS = 20
NEW_TOKENS = 64


@dataclass(frozen=True)
class AnswerLength:
    """Number of tokens of an answer."""

    tokens: int
    exact: bool
    """True: so many, because the engine does not stop at the end of the text. False: at most so many."""


#: Equal work. The base model's answers are longer; an adapter's are shorter, and go on after their end.
EQUAL = AnswerLength(48, exact=True)
#: As in the article: the model ends its answer.
OWN = AnswerLength(NEW_TOKENS, exact=False)


@dataclass(frozen=True)
class Question:
    """A problem, and the model that is asked."""

    adapter: str | None
    """None for the base model."""
    problem: Problem

    def body(self, model: str, length: AnswerLength) -> bytes:
        """Return the request in OpenAI's completion schema, which the gateway and vLLM have in common.

        `model` is the model's name at the server.
        """
        body = {"model": model, "prompt": self.problem.prompt, "temperature": 0}
        return json.dumps(body | {"max_tokens": length.tokens, "ignore_eos": length.exact}).encode()

    def verdict(self, text: str, length: AnswerLength) -> Verdict:
        """Check the text of the answer."""
        if length.exact or self.adapter is None:
            return check_start(text, self.problem, self.adapter)
        return check(text, self.problem, self.adapter)


def draw(models: Sequence[str | None], count: int, seed: int) -> list[Question]:
    """Draw `count` questions: each model equally often, as far as the numbers allow, in random order."""
    rng = random.Random(seed)
    chosen = [models[index % len(models)] for index in range(count)]
    rng.shuffle(chosen)
    return [Question(model, random_problem(rng)) for model in chosen]


def load_job(
    target: Target, questions: Sequence[Question], models: Sequence[str], length: AnswerLength
) -> LoadJob:
    """Return the job that asks the questions from `CLIENTS` clients, as fast as they are answered.

    Model n is the name, at the target, of the model that question n is for.
    """
    adapters = tuple(sorted(set(models)))
    workload = Workload(
        due_s=np.zeros(len(questions)),
        adapter=np.array([adapters.index(model) for model in models], np.int32),
        # Not known: the prompts are text.
        input_tokens=np.zeros(len(questions), np.int32),
        output_tokens=np.full(len(questions), length.tokens, np.int32),
        adapters=adapters,
    )
    bodies = [question.body(model, length) for question, model in zip(questions, models, strict=True)]
    return LoadJob(target=target, workload=workload, bodies=bodies, mode="closed", clients=CLIENTS)
