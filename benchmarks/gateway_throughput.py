"""Throughput of vLLM behind the gateway: responses per second for one, 50 and 500 adapters.

Compares 50 adapters through the gateway with the same requests to vLLM directly, and 50 and 500 adapters with
one adapter. Each response is checked. It is the part `throughput` of `python -m benchmarks.gateway`.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.errors import BenchmarkFailed
from benchmarks.load_generator import LoadJob, LoadRequest, LoadResult, send
from benchmarks.publishing import publish
from benchmarks.summary import medians
from benchmarks.workload import alternating, even_draw, zipf_draw
from laptop_cloud.cloud import LaptopCloud
from loraserve.demo.load_test import CLIENTS, NEW_TOKENS, REQUESTS
from samples.problems import SEED_PROBLEM, SIGNATURES, Problem, adapter_name, check, random_problem
from samples.spec import BASE_DIR, BASE_NAME
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

#: Names for each sample adapter. The engine sees each name as a separate adapter: the content is the same,
#: the name and the S3 prefix differ.
COPIES = 10
RESIDENT = 50
ZIPF_EXPONENT = 1.0
#: The scenarios: 50 adapters at random without the gateway and with it, one adapter, 500 by Zipf's law.
DIRECT, GATEWAY, SINGLE, ZIPF = "direct", "gateway", "single", "zipf"
SCENARIOS = (DIRECT, GATEWAY, SINGLE, ZIPF)
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
    """Number of rounds, and of requests for each scenario in a round."""

    rounds: int
    requests: int

    @property
    def steps(self) -> int:
        """Number of measurements, plus one for the warm-up."""
        return self.rounds * len(SCENARIOS) + 1


FULL = ThroughputSize(rounds=5, requests=REQUESTS)
QUICK = ThroughputSize(rounds=2, requests=100)


@dataclass(frozen=True)
class ThroughputTargets:
    """The two targets of the comparison: the gateway, and the engine with its own adapter ids."""

    container: ContainerProcess
    engine_ids: Mapping[str, str]

    def run(
        self,
        names: Sequence[str],
        problems: Sequence[Problem],
        *,
        direct: bool = False,
        tokens: int = NEW_TOKENS,
    ) -> LoadResult:
        """Send problem n to adapter n, from as many clients as `make demo` has."""
        make = self._to_engine if direct else self._to_gateway
        requests = [make(*pair, tokens) for pair in zip(names, problems, strict=True)]
        port = self.container.engine_port if direct else self.container.port
        return send(LoadJob("closed", port, requests, count=len(requests), clients=CLIENTS, keep_bodies=True))

    def warm(self, names: Sequence[str]) -> None:
        """Call each adapter once: it is then on disk and, if a slot is free, in the engine."""
        result = self.run(names, [SEED_PROBLEM] * len(names), tokens=1)
        if result.errors:
            raise BenchmarkFailed(f"{result.errors} of {len(names)} first calls failed: {result.first_error}")

    def _to_gateway(self, name: str, problem: Problem, tokens: int) -> LoadRequest:
        body = {"inputs": problem.prompt, "parameters": {"adapter_id": name, "max_new_tokens": tokens}}
        return LoadRequest("/invocations", body)

    def _to_engine(self, name: str, problem: Problem, tokens: int) -> LoadRequest:
        body = {
            "model": self.engine_ids[name],
            "prompt": problem.prompt,
            "max_tokens": tokens,
            "temperature": 0,
        }
        return LoadRequest("/v1/completions", body)


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
            targets.warm(list(sample_of))
            advance()
            rounds: list[dict[str, float]] = []
            wrong = {scenario: Counter(errors=0, adapters=0, answers=0) for scenario in SCENARIOS}
            for number in range(size.rounds):
                figures: dict[str, float] = {}
                for scenario in alternating(SCENARIOS, number):
                    figures[scenario] = _scenario(targets, scenario, sample_of, size, number, wrong[scenario])
                    advance()
                rounds.append(figures)
    return {"rounds": rounds, "medians": medians(rounds), "wrong": wrong, "requests": size.requests}


def _scenario(
    targets: ThroughputTargets,
    scenario: str,
    sample_of: Mapping[str, str],
    size: ThroughputSize,
    number: int,
    wrong: Counter[str],
) -> float:
    """Measure correct responses per second; add errors and wrong responses to `wrong`."""
    names = list(sample_of)
    # Both sides of a ratio get the same adapters in the same order, but different problems: a repeated
    # problem would be answered from the engine's prefix cache.
    draw, ask = random.Random(number), random.Random(f"{scenario} {number}")
    if scenario == ZIPF:
        targets.warm(zipf_draw(ask, names, ZIPF_EXPONENT, 2 * RESIDENT))
        drawn = zipf_draw(draw, names, ZIPF_EXPONENT, size.requests)
    else:
        # A different adapter in each round: the five answer formats differ in length.
        few = [names[number % RESIDENT]] if scenario == SINGLE else names[:RESIDENT]
        targets.warm(few)
        drawn = even_draw(draw, few, size.requests)
    problems = [random_problem(ask) for _ in drawn]
    result = targets.run(drawn, problems, direct=scenario == DIRECT)
    wrong["errors"] += result.errors
    for index, (name, problem) in enumerate(zip(drawn, problems, strict=True)):
        text = _text(result.bodies[index])
        if text is not None:
            verdict = check(text, problem, sample_of[name])
            wrong["adapters"] += not verdict.right_adapter
            wrong["answers"] += not verdict.right_answer
    return result.rps


def _text(body: str) -> str | None:
    """Return the generated text of a response of the gateway or of the engine; None if it is an error."""
    answer = json.loads(body)
    if isinstance(answer, list):
        return str(answer[0]["generated_text"])
    return str(answer["choices"][0]["text"]) if "choices" in answer else None
