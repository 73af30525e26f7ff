"""Load on the null endpoint: signed requests for fifty adapters, by the load test's generator.

    python -m benchmarks.null_load URL COUNT

prints the peak memory in MB, of this process and of its generator, after COUNT requests.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np
from botocore.credentials import Credentials
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkFailed
from loraserve.client import runtime_config
from loraserve.load.job import LoadJob, LoadRun
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome
from loraserve.load.signing import endpoint_target
from loraserve.workload.workload import Workload

CLIENTS = 20
REGION = "eu-central-1"
KEYS = Credentials("AKIDEXAMPLE", "not-a-secret")
#: As many words as the article's question has tokens.
_INPUT_TOKENS = 60
PROMPT = "the " * _INPUT_TOKENS
_ADAPTERS = 50


@dataclass(frozen=True)
class NullBodies:
    """Bodies in LoRAX's schema, each made when it is sent."""

    tokens: int
    stream: bool

    def __call__(self, index: int) -> bytes:
        """Return the body of request `index`."""
        parameters = {"adapter_id": adapter_of(index), "max_new_tokens": self.tokens, "details": True}
        return json.dumps({"inputs": PROMPT, "parameters": parameters, "stream": self.stream}).encode()


def null_job(
    url: str,
    due_s: NDArray[np.float64],
    *,
    tokens: int,
    clients: int | None = None,
    stream: bool = False,
    keep_text: bool = True,
) -> LoadJob:
    """Return the job of an endpoint; with `clients` a closed loop, whose `due_s` only count."""
    count = len(due_s)
    workload = Workload(
        due_s=due_s,
        adapter=np.arange(count, dtype=np.int32) % _ADAPTERS,
        input_tokens=np.full(count, _INPUT_TOKENS, np.int32),
        output_tokens=np.full(count, tokens, np.int32),
        adapters=tuple(adapter_of(number) for number in range(_ADAPTERS)),
    )
    return LoadJob(
        target=endpoint_target(runtime_client(url), "null", stream=stream),
        workload=workload,
        bodies=NullBodies(tokens, stream),
        mode="open" if clients is None else "closed",
        clients=clients or 1,
        keep_text=keep_text,
    )


def adapter_of(number: int) -> str:
    """Return the adapter of request `number`."""
    return f"adapter-{number % _ADAPTERS}"


def runtime_client(url: str) -> Any:
    """Return a boto3 client of `sagemaker-runtime` for the server at `url`."""
    session = boto3.Session(KEYS.access_key, KEYS.secret_key, region_name=REGION)
    return session.client("sagemaker-runtime", endpoint_url=url, config=runtime_config(CLIENTS))


def measured(job: LoadJob) -> LoadRun:
    """Run the job; raise BenchmarkFailed if any request failed."""
    found = run(job, lambda _: None, KEYS)
    bad = [result for result in found.results if result.outcome is not LoadOutcome.OK]
    if bad or len(found.results) != len(job.workload):
        first = f"{bad[0].outcome.value}: {bad[0].message}" if bad else "no result"
        raise BenchmarkFailed(f"{len(bad)} of {len(job.workload)} requests failed ({first})")
    return found


def main(url: str, count: int) -> None:
    """Send the requests, then print the memory as JSON."""
    measured(null_job(url, np.zeros(count), tokens=64, clients=CLIENTS, keep_text=False))
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    # Linux counts in KiB.
    print(json.dumps([resource.getrusage(who).ru_maxrss / 1024 for who in whose]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
