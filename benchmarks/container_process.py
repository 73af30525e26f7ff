"""The container as a process, started as the laptop cloud starts it, with its processor time."""

from __future__ import annotations

import contextlib
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

from benchmarks.errors import BenchmarkFailed
from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION, Account
from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.containers.environment import DIRECTORIES, container_environment
from laptop_cloud.containers.supervisor import supervised
from laptop_cloud.ports import free_ports
from stacks.project import ROOT

_READY_SECONDS = 180
_STOP_SECONDS = 40
_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class ContainerProcess:
    """A gateway and its engine, both ready."""

    port: int
    engine_port: int
    gateway: psutil.Process

    def pin(self, cores: set[int]) -> None:
        """Pin all threads of the gateway to these cores. The engine is not pinned."""
        for thread in self.gateway.threads():
            os.sched_setaffinity(thread.id, cores)

    def cpu_seconds(self) -> float:
        """Return the processor time of the gateway, without the engine, since its start."""
        times = self.gateway.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def run_container(
    cloud: LaptopCloud, folder: Path, settings: Mapping[str, str], *, module: str = "container.vllm"
) -> Iterator[ContainerProcess]:
    """Run `python -m container.vllm serve`, or another module, with these settings; stop it at the end."""
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
            supervised([sys.executable, "-m", module, "serve"]),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=environment,
            # Ctrl-C interrupts the benchmark, which then stops the container.
            start_new_session=True,
        )
    try:
        _wait_ready(process, port, log)
        [gateway] = psutil.Process(process.pid).children()
        yield ContainerProcess(port, engine_port, gateway)
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
