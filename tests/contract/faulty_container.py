"""A container with a faulty engine and store, observed from outside."""

import contextlib
import json
import os
import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.contract.fake_vllm import BASE_MODEL
from tests.harness.container import Container
from tests.harness.waiting import wait_until

NOTHING_LISTENS = "http://127.0.0.1:9"


class FaultyContainer(Container):
    """The gateway's process and the engine's."""

    def wait_until_started(self) -> None:
        """Return when /ping answers at all."""
        wait_until(self.ping, "the container answers")

    def __exit__(self, *_: object) -> None:
        """Kill the gateway, and the engine, which may outlive it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                child.kill()
        self.process.kill()
        self.process.wait()

    @property
    def engine_pid(self) -> int:
        [child] = psutil.Process(self.process.pid).children()
        return int(child.pid)

    def counts(self) -> dict[str, int]:
        """Return the engine's counts: requests received, running and aborted."""
        counts: dict[str, int] = self.engine.get("/counts").json
        return counts

    def inside(self) -> int:
        """Return the gateway's number of requests in flight."""
        text = self.client.get("/metrics").body.decode()
        found = re.search(r"^lora_requests_inside (\S+)$", text, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def memory(self) -> int:
        """Return the resident memory of the gateway's process in bytes, without the engine's."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def files(self) -> int:
        """Return the number of open files and sockets of the gateway's process."""
        return int(psutil.Process(self.process.pid).num_fds())

    def wait_until_empty(self) -> None:
        wait_until(lambda: self.inside() == 0, "no request is under way")

    def wait_until_running(self, count: int) -> None:
        wait_until(lambda: self.counts()["running"] == count, f"{count} endless requests at the engine")

    def pings(self, count: int = 40) -> "Pings":
        """Ask /ping some times, one connection each as SageMaker does."""
        took = []
        for _ in range(count):
            began = time.monotonic()
            status = self.client.get("/ping").status
            took.append(time.monotonic() - began)
            time.sleep(0.01)
            assert status == 200
        return Pings(took)


@dataclass(frozen=True)
class Pings:
    """Seconds that /ping took."""

    seconds: list[float]

    def __add__(self, others: "Pings") -> "Pings":
        return Pings(self.seconds + others.seconds)

    def assert_prompt(self) -> None:
        """Assert that the median is at most 50 ms, the promised time.

        One in twenty may be late because of other load on a machine with two cores, this process included.
        """
        median, late = statistics.median(self.seconds), statistics.quantiles(self.seconds, n=20)[-1]
        assert median <= 0.05, f"/ping took {median:.3f} s"
        assert late <= 0.25, f"one /ping in twenty took {late:.3f} s"


def container(
    folder: Path,
    variables: Mapping[str, object] | None = None,
    *,
    s3: str = NOTHING_LISTENS,
    constants: Mapping[str, float] | None = None,
) -> FaultyContainer:
    """Start one, with more variables; `s3` is the store's URL.

    `constants` are seconds that are to be shorter than they are.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HF_MODEL_ID": BASE_MODEL,
        "ADAPTER_BUCKET": "bucket",
        # Most have no store to ask at their start.
        "WARM_UP_SECONDS": "0",
        "CONSTANTS": json.dumps(dict(constants or {})),
        **{name: str(value) for name, value in (variables or {}).items()},
    }
    return FaultyContainer("tests.contract.faulty_process", environment, folder)
