"""A container's process: the gateway, the engine behind it, and the log that both write."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from stacks.project import ROOT
from tests.harness.http_client import Client
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until


class Container:
    """`with Container(module, environment, folder) as container:` runs `python -m module serve`.

    The environment is all that the process gets, with the addresses and folders that are set here. At the end
    of the block the gateway is killed, and its engine has to end with it.
    """

    def __init__(self, module: str, environment: Mapping[str, str], folder: Path) -> None:
        self.client, self.engine = Client(free_port()), Client(free_port())
        self.cache = folder / "adapters"
        self._command = [sys.executable, "-m", module, "serve"]
        self._log = folder / "container.log"
        self._environment = {
            **environment,
            "PYTHONPATH": str(ROOT),
            "BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(self.client.port),
            "ENGINE_PORT": str(self.engine.port),
            "ADAPTER_CACHE_DIR": str(self.cache),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )
        try:
            self.wait_until_started()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not self.engine_listens(), "the engine ends with the container")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The gateway's process."""
        assert self._process is not None, "it has not been started"
        return self._process

    @property
    def log(self) -> str:
        """The output of the gateway and of the engine so far."""
        return self._log.read_text(errors="replace")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines from which CloudWatch makes metrics."""
        return self._lines('{"_aws"')

    @property
    def states(self) -> list[dict[str, Any]]:
        """The metrics of the instance, without those of adapters."""
        return [line for line in self.metrics if "DiskFreeBytes" in line]

    @property
    def access_lines(self) -> list[dict[str, Any]]:
        """The lines of the access log."""
        return self._lines('{"log":"access"')

    def ping(self) -> int:
        """Return the status of /ping; 0 if nothing listens yet."""
        assert self.process.poll() is None, self.log[-4000:]
        with contextlib.suppress(OSError):
            return self.client.get("/ping").status
        return 0

    def wait_until_started(self) -> None:
        """Return when the block may begin: here, at once."""

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Return when /ping answers 200."""
        wait_until(lambda: self.ping() == 200, "the container is ready", seconds)

    def exit_code(self, seconds: float = 30) -> int:
        """Wait for the gateway's end."""
        return self.process.wait(timeout=seconds)

    def engine_listens(self) -> bool:
        """Return whether the engine takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.engine.port), 5):
            return True
        return False

    def _lines(self, start: str) -> list[dict[str, Any]]:
        # The last line may be half written.
        lines = (line for line in self.log.splitlines(keepends=True) if line.endswith("\n"))
        return [json.loads(line) for line in lines if line.startswith(start)]
