"""Nobody ever gets another adapter's answer, while names change what they stand for under load.

Through boto3 and InvokeEndpoint on the deployed stage, with vLLM as the engine: what the laptop cloud adds
to a request is a tenth of what the engine takes. Two minutes on two cores.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

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

REQUESTS = 5000
CLIENTS = 64
SAMPLES = [adapter_name(house) for house in range(len(SIGNATURES))]
#: Names of our own, so that the stage's stay as they are. At first each stands for its sample.
NAMES = [f"isolation/{sample}" for sample in SAMPLES]
#: Half of all requests and changes are for these.
BUSY = NAMES[::5]
STREAMED, PINNED = 0.4, 0.15
#: The same questions to all adapters: vLLM keeps what it has computed for a prompt, for each adapter apart.
PROBLEMS = [random_problem(random.Random(number)) for number in range(3, 43)]
#: The stage's default.
REGISTRY_CACHE_SECONDS = 5.0
#: The share of answers with a wrong result: see samples/scores.json.
WRONG_RESULTS = 0.02


def pick(rng: random.Random) -> str:
    return rng.choice(BUSY if rng.random() < 0.5 else NAMES)


def contents(store: StageStore) -> dict[str, str]:
    """Everything in the bucket, by key."""
    return {item["Key"]: item["ETag"] for item in listing(store.s3, store.bucket, "")}


@pytest.fixture
def store(deployed: Deployed) -> Iterator[StageStore]:
    """The stage's store; what is put into it goes with the test."""
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
    """Send all requests, each client the next one when it has its answer."""

    def one(number: int) -> tuple[Asked, Outcome]:
        asked = draw(random.Random(number), publisher)
        return asked, ask(runtime, endpoint, asked)

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(one, range(REQUESTS)))


@pytest.mark.timeout(900)
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
    assert len(publisher.made) == len(KINDS), "too short to be of use"
