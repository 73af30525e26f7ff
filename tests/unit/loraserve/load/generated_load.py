"""A null endpoint and a generator in the test's own event loop."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from botocore.credentials import ReadOnlyCredentials

from benchmarks.null_endpoint import NullBehavior, serve
from loraserve.load.generator import Generator, Share
from loraserve.load.job import LoadJob, Target
from loraserve.load.result import RequestResult
from loraserve.load.signing import RequestWriter
from loraserve.load.timer import now
from loraserve.workload.workload import Workload

REGION = "eu-central-1"
WHOLE = "/endpoints/e/invocations"
STREAM = "/endpoints/e/invocations-response-stream"


def workload(
    count: int, rate: float, tokens: int = 1, adapters: Sequence[str] = ("otter", "heron")
) -> Workload:
    """Requests in equal distances, of the base model and each adapter in turn."""
    return Workload(
        due_s=np.arange(count) / rate,
        adapter=(np.arange(count, dtype=np.int32) % (len(adapters) + 1) - 1).astype(np.int32),
        input_tokens=np.full(count, 3, np.int32),
        output_tokens=np.full(count, tokens, np.int32),
        adapters=tuple(adapters),
    )


def bodies(requests: Workload, *, stream: bool) -> list[bytes]:
    found = []
    for index in range(len(requests)):
        parameters: dict[str, Any] = {"max_new_tokens": int(requests.output_tokens[index])}
        if (name := requests.name_of(index)) is not None:
            parameters["adapter_id"] = name
        found.append(
            json.dumps({"inputs": "one two three", "parameters": parameters, "stream": stream}).encode()
        )
    return found


def job(url: str, requests: Workload, **options: Any) -> LoadJob:
    """A job; the operation in `url` decides whether answers are streams."""
    target = Target(url=url, region=REGION if "/endpoints/" in url else None)
    return LoadJob(
        target=target, workload=requests, bodies=bodies(requests, stream="stream" in url), **options
    )


@contextlib.asynccontextmanager
async def null_server(behavior: NullBehavior | None = None) -> AsyncIterator[str]:
    """Run a null endpoint in this event loop; yields its URL."""
    server = await serve(0, behavior or NullBehavior())
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def send(load: LoadJob, keys: ReadOnlyCredentials | None = None) -> list[RequestResult]:
    """Run the whole job in this event loop; the results in the order of their index."""
    signing = keys or (ReadOnlyCredentials("AK", "SECRET", None) if load.target.region else None)
    generator = Generator(load, Share(0, 1), RequestWriter(load.target, signing))
    await generator.connect()
    await generator.run(now())
    return sorted(generator.results, key=lambda result: result.index)
