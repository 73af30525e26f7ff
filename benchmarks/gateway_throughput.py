"""Throughput of vLLM with and without the gateway: output tokens per second of base model and adapters.

Every answer has the same number of tokens, so that all scenarios are equal work. Each scenario runs through
the gateway and against vLLM alone, in the same round. Each response is checked. It is the part `throughput`
of `python -m benchmarks.gateway`.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.errors import BenchmarkFailed
from benchmarks.publishing import publish
from benchmarks.summary import medians
from laptop_cloud.cloud import LaptopCloud
from loraserve.demo.measurement import Measurement, summarize
from loraserve.demo.questions import CLIENTS, EQUAL, NEW_TOKENS, AnswerLength, Question, draw, load_job
from loraserve.demo.scenarios import alternating
from loraserve.load.job import Target
from loraserve.load.processes import run
from samples.problems import SIGNATURES, adapter_name, random_problem
from samples.spec import BASE_DIR, BASE_NAME
from stacks.sizing.popularity import zipf
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: Names for each sample adapter. The engine sees each name as a separate adapter: the content is the same,
#: the name and the S3 prefix differ.
COPIES = 10
RESIDENT = 50
ZIPF_EXPONENT = 1.0
#: Fields of a `Measurement` that count faults.
WRONG = ("errors", "wrong_adapter", "wrong_answer", "wrong_length")
ENGINE, GATEWAY = "engine", "gateway"
SIDES = (ENGINE, GATEWAY)
BASE, ONE, FIFTY, ZIPF = "base", "one", "fifty", "zipf"
#: Measurements of a round: each side with the base model, one adapter and fifty; 500 by the gateway only.
SCENARIOS = (*product(SIDES, (BASE, ONE, FIFTY)), (GATEWAY, ZIPF))
#: As in `stages/local.yaml`, except for MAX_ACTIVE_ADAPTERS.
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
class ThroughputSize:
    """Number of rounds, and of requests for each scenario in a round: whole waves of the clients."""

    rounds: int
    requests: int

    @property
    def steps(self) -> int:
        """Number of measurements, plus one for the warm-up."""
        return self.rounds * len(SCENARIOS) + 1


FULL = ThroughputSize(rounds=5, requests=4 * CLIENTS)
QUICK = ThroughputSize(rounds=2, requests=2 * CLIENTS)


@dataclass(frozen=True)
class ThroughputTargets:
    """The two targets of the comparison: the gateway, and the engine with its own adapter ids."""

    container: ContainerProcess
    engine_ids: Mapping[str, str]

    def ask(
        self, side: str, questions: Sequence[Question], names: Sequence[str], length: AnswerLength = EQUAL
    ) -> Measurement:
        """Ask question n of the model with name n, from as many clients as `make demo` has."""
        target, models = self.models(side, names)
        result = run(load_job(target, questions, models, length), lambda _: None)
        return summarize(questions, result, length)

    def models(self, side: str, names: Sequence[str]) -> tuple[Target, list[str]]:
        """Return the target of a side, and what it calls these adapters."""
        if side == GATEWAY:
            return Target(url=f"http://127.0.0.1:{self.container.port}/invocations"), list(names)
        url = f"http://127.0.0.1:{self.container.engine_port}/v1/completions"
        return Target(url=url), [self.engine_ids.get(name, name) for name in names]


def copies() -> dict[str, str]:
    """Return the sample adapter of each registered name: all samples' first names, then all second names."""
    return {
        f"{adapter_name(number)}-{copy:02d}": adapter_name(number)
        for copy in range(1, COPIES + 1)
        for number in range(len(SIGNATURES))
    }


def measure(size: ThroughputSize, advance: Callable[[], None]) -> dict[str, Any]:
    """Measure all rounds; call `advance` after each of the `size.steps` steps."""
    sample_of = copies()
    with tempfile.TemporaryDirectory(prefix="vllm-") as name, LaptopCloud() as cloud:
        folder = Path(name)
        (folder / "model").symlink_to(BASE_DIR)
        store = Store(cloud.client("s3"))
        publish(store, {name: sample_files(of) for name, of in sample_of.items()})
        with run_container(cloud, folder, SETTINGS | {"ADAPTER_BUCKET": store.bucket}) as running:
            targets = ThroughputTargets(running, {name: store.entry(name).prefix for name in sample_of})
            call_once(targets, sample_of, list(sample_of), seed=0)
            advance()
            rounds: list[dict[str, float]] = []
            wrong = Counter(dict.fromkeys(WRONG, 0))
            shares: list[float] = []
            for number in range(size.rounds):
                figures: dict[str, float] = {}
                for side, scenario in alternating(SCENARIOS, number):
                    found = scenario_of(targets, (side, scenario), sample_of, size, number)
                    figures[f"{side}_{scenario}"] = found.tokens_per_s
                    shares.append(found.client_share)
                    for kind in wrong:
                        wrong[kind] += getattr(found, kind)
                    advance()
                rounds.append(figures)
    return {
        "rounds": rounds,
        "medians": medians(rounds),
        "wrong": wrong,
        "requests": size.requests,
        "client_share": max(shares),
    }


def scenario_of(
    targets: ThroughputTargets,
    what: tuple[str, str],
    sample_of: Mapping[str, str],
    size: ThroughputSize,
    number: int,
) -> Measurement:
    """Measure one scenario of round `number`; both sides are asked the same questions."""
    side, scenario = what
    names = list(sample_of)
    if scenario == BASE:
        return targets.ask(side, draw([None], size.requests, number), [BASE_NAME] * size.requests)
    if scenario == ZIPF:
        generator = np.random.default_rng(number)
        shares = zipf(len(names), ZIPF_EXPONENT)
        call_once(
            targets,
            sample_of,
            [str(name) for name in generator.choice(names, 2 * RESIDENT, p=shares)],
            number,
        )
        drawn = [str(name) for name in generator.choice(names, size.requests, p=shares)]
        return targets.ask(side, questions_of(drawn, sample_of, number), drawn)
    # Another adapter in each round.
    few = [names[number % RESIDENT]] if scenario == ONE else names[:RESIDENT]
    name_of = {sample_of[name]: name for name in few}
    call_once(targets, sample_of, few, number)
    questions = draw(list(name_of), size.requests, number)
    return targets.ask(side, questions, [name_of[str(question.adapter)] for question in questions])


def questions_of(names: Sequence[str], sample_of: Mapping[str, str], seed: int) -> list[Question]:
    """Return a question for each name, with the problem that its sample adapter was trained for."""
    rng = random.Random(seed)
    return [Question(sample_of[name], random_problem(rng)) for name in names]


def call_once(
    targets: ThroughputTargets, sample_of: Mapping[str, str], names: Sequence[str], seed: int
) -> None:
    """Call each adapter once: it is then on disk and, if a slot is free, in the engine."""
    found = targets.ask(GATEWAY, questions_of(names, sample_of, seed), names, AnswerLength(1, exact=True))
    if found.errors:
        raise BenchmarkFailed(f"{found.errors} of {len(names)} first calls failed: {found.first_error}")
