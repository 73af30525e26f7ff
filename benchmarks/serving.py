"""The container's process, started as the laptop cloud starts it, and what it takes of the processor."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil  # type: ignore[import-untyped]

from benchmarks.failure import BenchmarkFailed
from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION, Account
from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.containers.environment import DIRECTORIES, container_environment
from laptop_cloud.containers.supervisor import supervised
from laptop_cloud.ports import free_ports
from stacks.project import ROOT
from tests.harness.store import Store

_READY_SECONDS = 180
_STOP_SECONDS = 40
_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Container:
    """A gateway and its engine that are ready."""

    port: int
    engine_port: int
    gateway: psutil.Process

    def pin(self, cores: set[int]) -> None:
        """Keep the gateway, all of its threads, on these cores; the engine stays where it is."""
        for thread in self.gateway.threads():
            os.sched_setaffinity(thread.id, cores)

    def cpu_seconds(self) -> float:
        """What the gateway, without the engine, has used of the processor so far."""
        times = self.gateway.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def container(cloud: LaptopCloud, folder: Path, settings: Mapping[str, str]) -> Iterator[Container]:
    """`python -m container.vllm serve` with these settings until the block ends, however it ends."""
    for name in DIRECTORIES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    port, engine_port = free_ports(2)
    environment = container_environment(
        settings,
        directory=folder,
        account=Account(DEFAULT_ACCOUNT, DEFAULT_REGION),
        endpoint_url=cloud.url,
        port=port,
        engine_port=engine_port,
    )
    log = folder / "container.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            supervised([sys.executable, "-m", "container.vllm", "serve"]),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=environment,
            # Ctrl-C is for the benchmark, which then stops this.
            start_new_session=True,
        )
    try:
        _wait_ready(process, port, log)
        [gateway] = psutil.Process(process.pid).children()
        yield Container(port, engine_port, gateway)
    finally:
        _stop(process)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _is_ready(port):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BenchmarkFailed(f"the container did not become ready; the end of its log:\n{tail}")
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        with _direct.open(f"http://127.0.0.1:{port}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the process: SIGTERM, then SIGKILL by closing the supervisor's standard input."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def publish(store: Store, adapters: Mapping[str, Mapping[str, bytes]]) -> None:
    """Publish with the seeder, whose log nobody needs here."""
    with contextlib.redirect_stdout(io.StringIO()):
        report = store.seed(adapters)
    if report.published != len(adapters):
        raise BenchmarkFailed(f"{report.published} of {len(adapters)} adapters were published")


@contextlib.contextmanager
def cores_apart() -> Iterator[set[int]]:
    """This process, and all that it starts from now on, on all cores but one: that one is given back."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise BenchmarkFailed("two cores are needed, one of them for the gateway alone")
    first = {min(cores)}
    os.sched_setaffinity(0, cores - first)
    try:
        yield first
    finally:
        os.sched_setaffinity(0, cores)
