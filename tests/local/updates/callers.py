"""Applications that call an endpoint continuously, and check every answer."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence

from loraserve.client import EndpointClient
from samples.problems import base_answer, check, random_problem
from tests.local.updates.served import ClientThreads

#: Few, with pauses: a deployment on the same two cores is to be under load, not starved.
CALLERS, PAUSE_S = 3, 0.15


class Callers(ClientThreads):
    """Clients that request the base model and adapters in rotation while a `with` block lasts."""

    def __init__(self, client: EndpointClient, adapters: Sequence[str]) -> None:
        self._client = client
        self._models: tuple[str | None, ...] = (None, *adapters)
        super().__init__(CALLERS)
        self.answers = 0
        self.tokens: list[int] = []
        """The length of each answer of the base model, which the endpoint's default ends."""
        self.lost: list[str] = []
        """Requests that were not answered, or not by the requested model."""

    def _ask(self, number: int) -> None:
        problems = random.Random(number)
        for model in itertools.cycle(self._models):
            if self._stop.is_set():
                return
            problem = random_problem(problems)
            try:
                answer = self._client.generate(problem.prompt, adapter=model)
            except Exception as error:  # whatever it is, it is a request that was lost
                self.lost.append(f"{time.strftime('%X')} {model}: {error}")
                continue
            if model is None:
                right = base_answer(problem).startswith(answer.text.strip())
                self.tokens.append(answer.tokens)
            else:
                right = check(answer.text, problem, model).right_answer
            self.answers += 1
            if not right:
                self.lost.append(f"{time.strftime('%X')} {model}: {answer.text!r}")
            self._stop.wait(PAUSE_S)
