"""A container whose engine and store misbehave, and what can be seen of it from outside."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from tests.contract.calls import Client, free_port, wait_until
from tests.contract.fake_vllm import BASE_MODEL

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOTHING_LISTENS = "http://127.0.0.1:9"


@dataclass
class Container:
    """The process and its engine's."""

    process: subprocess.Popen[bytes]
    client: Client
    engine: Client
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def engine_pid(self) -> int:
        [child] = psutil.Process(self.process.pid).children()
        return int(child.pid)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines from which CloudWatch makes metrics."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith('{"_aws"')]

    @property
    def states(self) -> list[dict[str, Any]]:
        """Those that tell the instance's state."""
        return [line for line in self.lines if "DiskFreeBytes" in line]

    def counts(self) -> dict[str, int]:
        """What the engine counts: requests asked, running and abandoned."""
        counts: dict[str, int] = self.engine.get("/counts").json
        return counts

    def inside(self) -> int:
        """Requests that the gateway says are under way."""
        text = self.client.get("/metrics").body.decode()
        found = re.search(r"^lora_requests_inside (\S+)$", text, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def memory(self) -> int:
        """Bytes of memory that the gateway's process has, the engine's not included."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def files(self) -> int:
        """Files and sockets that the gateway's process has open."""
        return int(psutil.Process(self.process.pid).num_fds())

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.is_up() and self.client.get("/ping").status == 200, "the container is ready")

    def wait_until_empty(self) -> None:
        wait_until(lambda: self.inside() == 0, "no request is under way")

    def wait_until_running(self, count: int) -> None:
        wait_until(lambda: self.counts()["running"] == count, f"{count} endless requests at the engine")

    def is_up(self) -> bool:
        """Whether it answers at all."""
        assert self.process.poll() is None, self.output
        with contextlib.suppress(OSError):
            return self.client.get("/ping").status > 0
        return False

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(timeout=seconds)

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
        """Within 50 ms is promised: the median says whether it is kept.

        One in twenty may be late by what else runs on a machine with two cores, this process included.
        """
        median, late = statistics.median(self.seconds), statistics.quantiles(self.seconds, n=20)[-1]
        assert median <= 0.05, f"/ping took {median:.3f} s"
        assert late <= 0.25, f"one /ping in twenty took {late:.3f} s"


@contextlib.contextmanager
def container(
    folder: Path,
    variables: Mapping[str, object] | None = None,
    *,
    s3: str = NOTHING_LISTENS,
    constants: Mapping[str, float] | None = None,
) -> Iterator[Container]:
    """Start one, with more variables; `s3` is the store's URL.

    `constants` are seconds that are to be shorter than they are.
    """
    port, engine_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HF_MODEL_ID": BASE_MODEL,
        "ADAPTER_BUCKET": "bucket",
        "ADAPTER_CACHE_DIR": str(folder / "adapters"),
        "BIND_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "ENGINE_PORT": str(engine_port),
        "CONSTANTS": json.dumps(dict(constants or {})),
        **{name: str(value) for name, value in (variables or {}).items()},
    }
    log = folder / "container.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.faulty_process", "serve"],
            env=environment,
            stdout=out,
            stderr=out,
            cwd=ROOT,
        )
    found = Container(process, Client(port), Client(engine_port), log)
    try:
        wait_until(found.is_up, "the container answers")
        yield found
    finally:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process, and its engine, which may not heed that it is alone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            child.kill()
    process.kill()
    process.wait()
