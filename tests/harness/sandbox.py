"""A container in a sandbox, started as the laptop cloud starts it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from laptop_cloud.containers.sandbox.image_config import ImageConfig
from laptop_cloud.containers.sandbox.spec import ROOT_BYTES, SandboxSpec
from laptop_cloud.containers.supervisor import supervised
from stacks.project import ROOT
from tests.harness.http_client import Client
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until


class SandboxedContainer:
    """`with SandboxedContainer(layers, image, folder) as container:` runs an image until the end of the block.

    `folder` is the instance's directory: `model/` in it is /opt/ml/model, `tmp/` is /tmp; both are made if
    they are missing. `aws` is the port of AWS on 127.0.0.1.
    """

    def __init__(
        self,
        layers: Sequence[Path],
        image: ImageConfig,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
        aws: int | None = None,
        root_bytes: int = ROOT_BYTES,
    ) -> None:
        for name in ("model", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.client = Client(free_port())
        self.folder = folder
        self.log = folder / "container.log"
        self.spec = SandboxSpec(
            layers=tuple(layers),
            image=image,
            environment=environment or {},
            directory=folder,
            port=self.client.port,
            endpoint_port=aws or free_port(),
            mounts=mounts or {},
            root_bytes=root_bytes,
        )

    def start(self) -> Self:
        """Start it, without waiting for an answer."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                supervised(self.spec.command()),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        return self

    def wait_healthy(self, seconds: float = 30) -> None:
        """Return when it answers /ping with 200."""
        wait_until(self._is_healthy, f"the container answers; {self.log} has its output", seconds)

    def processes(self) -> list[psutil.Process]:
        """List the processes of the supervisor, of the sandbox and in the container."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def terminate(self) -> None:
        """Send SIGTERM, as the start of a stop."""
        self.process.terminate()

    def kill(self) -> int:
        """Kill what is left of it, as the end of a stop; return the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait()

    def text(self) -> str:
        """Return its output."""
        return self.log.read_text(errors="replace")

    def run(self, code: str) -> str:
        """Return what Python code prints in the container of `tests/images/probe.py`."""
        return self.client.request("POST", "/invocations", code.encode()).body.decode()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_healthy()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _is_healthy(self) -> bool:
        assert self.process.poll() is None, f"it ended with status {self.process.returncode}: {self.text()}"
        try:
            return self.client.get("/ping", timeout=2).status == 200
        except OSError:
            return False
