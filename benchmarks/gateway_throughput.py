"""A real engine's answers per second: asked directly and through the gateway, for few and many adapters."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arithmetic import even_draw, in_turn, medians, zipf_draw
from benchmarks.failure import BenchmarkFailed
from benchmarks.load import Job, Request, Result, send
from benchmarks.serving import Container, container, publish
from laptop_cloud.cloud import LaptopCloud
from loraserve.demo.load_test import CLIENTS, NEW_TOKENS, REQUESTS
from samples.problems import SEED_PROBLEM, SIGNATURES, Problem, adapter_name, check, random_problem
from samples.spec import BASE_DIR, BASE_NAME
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: Names for each sample adapter. The engine sees as many adapters: their content is the same, their names
#: and places in the bucket are not.
COPIES = 10
RESIDENT = 50
ZIPF_EXPONENT = 1.0
#: The scenarios: 50 adapters at random without the gateway and with it, one adapter, 500 by Zipf's law.
DIRECT, GATEWAY, SINGLE, ZIPF = "direct", "gateway", "single", "zipf"
SCENARIOS = (DIRECT, GATEWAY, SINGLE, ZIPF)
#: As `stages/local.yaml` sets them, but for the adapters' slots.
SETTINGS = {
    "HF_MODEL_ID": BASE_NAME,
    "MAX_INPUT_LENGTH": "256",
    "MAX_TOTAL_TOKENS": "512",
    "DEFAULT_MAX_NEW_TOKENS": str(NEW_TOKENS),
    "MAX_NEW_TOKENS": "256",
    "MAX_ADAPTER_RANK": "8",
    "MAX_ACTIVE_ADAPTERS": str(RESIDENT),
    "ADAPTER_TARGET_MODULES": "q_proj,v_proj",
}


@dataclass(frozen=True)
class Size:
    """How much is sent."""

    rounds: int
    requests: int

    @property
    def steps(self) -> int:
        """Measurements, and the first call of each adapter."""
        return self.rounds * len(SCENARIOS) + 1


FULL = Size(rounds=5, requests=REQUESTS)
QUICK = Size(rounds=2, requests=100)


@dataclass(frozen=True)
class Sides:
    """The container, and what its adapters are called on either side of the gateway."""

    container: Container
    engine_ids: Mapping[str, str]

    def run(
        self,
        names: Sequence[str],
        problems: Sequence[Problem],
        *,
        direct: bool = False,
        tokens: int = NEW_TOKENS,
    ) -> Result:
        """Problem n to adapter n, from the usual number of clients."""
        make = self._to_engine if direct else self._to_gateway
        requests = [make(*pair, tokens) for pair in zip(names, problems, strict=True)]
        port = self.container.engine_port if direct else self.container.port
        return send(Job("closed", port, requests, count=len(requests), clients=CLIENTS, keep_bodies=True))

    def warm(self, names: Sequence[str]) -> None:
        """Call each once, so that it is on disk and, if there is room, in a slot."""
        result = self.run(names, [SEED_PROBLEM] * len(names), tokens=1)
        if result.errors:
            raise BenchmarkFailed(f"{result.errors} of {len(names)} first calls failed: {result.first_error}")

    def _to_gateway(self, name: str, problem: Problem, tokens: int) -> Request:
        body = {"inputs": problem.prompt, "parameters": {"adapter_id": name, "max_new_tokens": tokens}}
        return Request("/invocations", body)

    def _to_engine(self, name: str, problem: Problem, tokens: int) -> Request:
        body = {
            "model": self.engine_ids[name],
            "prompt": problem.prompt,
            "max_tokens": tokens,
            "temperature": 0,
        }
        return Request("/v1/completions", body)


def copies() -> dict[str, str]:
    """The registered names and which sample each is: all samples' first names, then their second ones."""
    return {
        f"{adapter_name(house)}-{copy:02d}": adapter_name(house)
        for copy in range(1, COPIES + 1)
        for house in range(len(SIGNATURES))
    }


def measure(size: Size, advance: Callable[[], None]) -> dict[str, Any]:
    """All rounds; `advance` is called `size.steps` times."""
    sample_of = copies()
    with tempfile.TemporaryDirectory(prefix="vllm-") as name, LaptopCloud() as cloud:
        folder = Path(name)
        (folder / "model").symlink_to(BASE_DIR)
        store = Store(cloud.client("s3"))
        publish(store, {name: sample_files(of) for name, of in sample_of.items()})
        with container(cloud, folder, SETTINGS | {"ADAPTER_BUCKET": store.bucket}) as running:
            sides = Sides(running, {name: store.entry(name).prefix for name in sample_of})
            sides.warm(list(sample_of))
            advance()
            rounds: list[dict[str, float]] = []
            wrong = {scenario: Counter(errors=0, adapters=0, answers=0) for scenario in SCENARIOS}
            for number in range(size.rounds):
                figures: dict[str, float] = {}
                for scenario in in_turn(SCENARIOS, number):
                    figures[scenario] = _scenario(sides, scenario, sample_of, size, number, wrong[scenario])
                    advance()
                rounds.append(figures)
    return {"rounds": rounds, "medians": medians(rounds), "wrong": wrong, "requests": size.requests}


def _scenario(
    sides: Sides, scenario: str, sample_of: Mapping[str, str], size: Size, number: int, wrong: Counter[str]
) -> float:
    """Good answers per second; what went wrong is added to `wrong`."""
    names = list(sample_of)
    # The two sides of a ratio get the same adapters in the same order, and other problems: what one has
    # asked lies in the engine's prefix cache.
    draw, ask = random.Random(number), random.Random(f"{scenario} {number}")
    if scenario == ZIPF:
        sides.warm(zipf_draw(ask, names, ZIPF_EXPONENT, 2 * RESIDENT))
        drawn = zipf_draw(draw, names, ZIPF_EXPONENT, size.requests)
    else:
        # Each round another one: the five formats of answers differ in length.
        few = [names[number % RESIDENT]] if scenario == SINGLE else names[:RESIDENT]
        sides.warm(few)
        drawn = even_draw(draw, few, size.requests)
    problems = [random_problem(ask) for _ in drawn]
    result = sides.run(drawn, problems, direct=scenario == DIRECT)
    wrong["errors"] += result.errors
    for index, (name, problem) in enumerate(zip(drawn, problems, strict=True)):
        text = _text(result.bodies[index])
        if text is not None:
            verdict = check(text, problem, sample_of[name])
            wrong["adapters"] += not verdict.right_adapter
            wrong["answers"] += not verdict.right_answer
    return result.rps


def _text(body: str) -> str | None:
    """The generated text of either side's answer; None if it is an error."""
    answer = json.loads(body)
    if isinstance(answer, list):
        return str(answer[0]["generated_text"])
    return str(answer["choices"][0]["text"]) if "choices" in answer else None
