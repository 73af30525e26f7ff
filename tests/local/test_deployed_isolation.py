"""Isolation of adapters under load: no client gets another adapter's answer while names are republished.

The requests go through boto3 and InvokeEndpoint to the deployed stage, with vLLM as the engine. The laptop
cloud adds a tenth of the engine's time to a request. Duration: 70 s on two cores.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.store.layout import DEMAND_PREFIX, PROBES_PREFIX
from adapters.store.s3 import listing
from loraserve.adapters.open_store import find_stage
from loraserve.adapters.stage_store import StageStore
from loraserve.client import runtime_config
from samples.problems import SIGNATURES, adapter_name, random_problem
from tests.local.conftest import Deployed
from tests.local.isolation.gateway_log import GatewayLog
from tests.local.isolation.invocation import BODIES, Asked, Outcome, ask
from tests.local.isolation.judge import Judge
from tests.local.isolation.publisher import KINDS, Publisher

REQUESTS = 3000
CLIENTS = 64
SAMPLES = [adapter_name(house) for house in range(len(SIGNATURES))]
#: Separate names, so that the stage's names do not change. At first each points to its sample.
NAMES = [f"isolation/{sample}" for sample in SAMPLES]
#: Names that get half of all requests and changes.
BUSY = NAMES[::5]
STREAMED, PINNED = 0.4, 0.15
#: The same questions to all adapters: vLLM's prefix cache is separate for each adapter.
PROBLEMS = [random_problem(random.Random(number)) for number in range(3, 43)]
#: The default of a stage.
REGISTRY_CACHE_SECONDS = 5.0
#: Maximum share of answers with a wrong result: see samples/scores.json.
WRONG_RESULTS = 0.02


def pick(rng: random.Random) -> str:
    return rng.choice(BUSY if rng.random() < 0.5 else NAMES)


def contents(store: StageStore) -> dict[str, str]:
    """Read all objects of the bucket, by key, but for those that the container writes."""
    found = {item["Key"]: item["ETag"] for item in listing(store.s3, store.bucket, "")}
    return {key: etag for key, etag in found.items() if not key.startswith((DEMAND_PREFIX, PROBES_PREFIX))}


@pytest.fixture
def store(deployed: Deployed) -> Iterator[StageStore]:
    """The stage's store; objects that the test adds are deleted at its end."""
    found = StageStore(find_stage("local"), deployed.cloud.client("s3"), deployed.bucket)
    before = contents(found)
    yield found
    for key in contents(found).keys() - before.keys():
        found.s3.delete_object(Bucket=found.bucket, Key=key)
    assert contents(found) == before


def draw(rng: random.Random, publisher: Publisher) -> Asked:
    name = pick(rng)
    pinned = rng.choice(publisher.history.revisions(name)) if rng.random() < PINNED else None
    return Asked(rng.choice(list(BODIES)), rng.random() < STREAMED, name, pinned, rng.choice(PROBLEMS))


def load(runtime: Any, endpoint: str, publisher: Publisher) -> list[tuple[Asked, Outcome]]:
    """Send all requests; each client sends its next one when it has the answer to the previous one."""

    def one(number: int) -> tuple[Asked, Outcome]:
        asked = draw(random.Random(number), publisher)
        return asked, ask(runtime, endpoint, asked)

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(one, range(REQUESTS)))


def test_no_answer_is_of_another_adapter_or_revision_while_names_change(
    deployed: Deployed, store: StageStore
) -> None:
    publisher = Publisher(store, SAMPLES, pick)
    for name, sample in zip(NAMES, SAMPLES, strict=True):
        publisher.begin(name, sample)
    runtime = deployed.cloud.client("sagemaker-runtime", runtime_config(connections=CLIENTS))
    log = GatewayLog(deployed.cloud.state)
    with publisher:
        ended = load(runtime, deployed.endpoint, publisher)
    judge = Judge(
        publisher.history, publisher.revision_of, REGISTRY_CACHE_SECONDS, log.stale(), log.unanswered()
    )
    for asked, answer in ended:
        judge.judge(asked, answer)
    deployed.console.print(judge.table())
    deployed.console.print(
        f"changes: {dict(publisher.made)}\n"
        f"wrong results: {judge.wrong_results}\n"
        f"oldest revision that answered: replaced {judge.oldest:.1f} s before the request\n"
        f"older answers used while the store was slow: {judge.stale.total()}"
    )
    assert publisher.failure is None
    assert judge.complaints == []
    assert judge.wrong_results <= WRONG_RESULTS * REQUESTS
    assert len(publisher.made) == len(KINDS), "the run was too short: a kind of change is missing"
