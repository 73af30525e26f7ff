"""One instance of an endpoint: model data, the container's process, its health check and its end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from laptop_cloud.containers.images import REPOSITORY
from laptop_cloud.containers.logs import ContainerLog
from laptop_cloud.containers.model_data import ModelDataMissing, download
from laptop_cloud.containers.runtime import ContainerRuntime
from laptop_cloud.containers.supervisor import supervised

#: Seconds between SIGTERM and SIGKILL, SageMaker's limit.
STOP_GRACE_S = 30.0
#: Seconds in which a container must answer /ping, SageMaker's limit.
_PING_LIMIT = aiohttp.ClientTimeout(total=2)
_PING_INTERVAL_S = 0.5
_TAIL_LINES = 15
_TAIL_BYTES = 8192


class InstanceFailed(Exception):
    """An instance did not come into service; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class ModelData:
    """The model data, and the access to it."""

    uri: str | None
    """The S3 prefix; None if the model has none."""
    make_s3: Callable[[], Any]
    """Makes an S3 client with the execution role."""


@dataclass(frozen=True, kw_only=True)
class StartLimits:
    """Seconds that the steps of a start may take."""

    download_s: float
    """For the model data."""
    health_s: float
    """Until the first successful health check."""


class Instance:
    """A container that serves one variant. It never outlives the process with this object."""

    def __init__(
        self,
        *,
        variant: str,
        runtime: ContainerRuntime,
        model_data: ModelData,
        limits: StartLimits,
        directory: Path,
        log: Path,
        cloud_log: ContainerLog,
        session: aiohttp.ClientSession,
    ) -> None:
        """Set up an instance; `start` starts it.

        Args:
            variant: the variant's name.
            runtime: runs the container.
            model_data: downloaded before each start.
            limits: time limits of the start.
            directory: the instance's files, deleted with it.
            log: the file with the container's output, which is kept.
            cloud_log: sends `log` to CloudWatch Logs.
            session: the HTTP client for health checks.
        """
        self.variant = variant
        self.log = log
        self.url = ""
        self._runtime = runtime
        self._model_data = model_data
        self._limits = limits
        self._directory = directory
        self._cloud_log = cloud_log
        self._session = session
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        """True if the process has started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def ended(self) -> None:
        """Wait until the process has ended."""
        if self._process is not None:
            await self._process.wait()

    async def start(self) -> None:
        """Download the model data, start the process, and wait until it answers /ping with 200.

        Raises:
            InstanceFailed: one of these steps failed; no process is left.
        """
        try:
            await self._fetch_model_data()
            await self._start_process()
            await self._wait_healthy()
        except BaseException:
            await self.stop(grace_s=0)
            raise

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Stop the process: SIGTERM, and after `grace_s` seconds SIGKILL for it and its descendants."""
        process = self._process
        if process is not None and process.returncode is None:
            if grace_s:
                process.terminate()
                await _wait(process, grace_s)
            if process.returncode is None and process.stdin is not None:
                process.stdin.close()
                await process.wait()
        await self._cloud_log.end()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def last_lines(self) -> str:
        """Return the last lines of the container's log."""
        if not self.log.exists():
            return ""
        tail = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        return "\n".join(tail.splitlines()[-_TAIL_LINES:])

    async def _fetch_model_data(self) -> None:
        target = self._directory / "model"
        target.mkdir(parents=True)
        if self._model_data.uri is None:
            return
        try:
            s3 = await asyncio.to_thread(self._model_data.make_s3)
            fetch = asyncio.to_thread(download, self._model_data.uri, target, s3)
            await asyncio.wait_for(fetch, self._limits.download_s)
        except ModelDataMissing as error:
            raise InstanceFailed(str(error)) from error
        except TimeoutError:
            raise InstanceFailed(
                f"the model data at {self._model_data.uri} was not downloaded within "
                f"{self._limits.download_s:g} s (ModelDataDownloadTimeoutInSeconds)"
            ) from None

    async def _start_process(self) -> None:
        start = self._runtime.prepare(self._directory)
        self.url = start.url
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *supervised(start.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=start.environment,
                start_new_session=True,
            )
        self._cloud_log.begin()

    async def _wait_healthy(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._limits.health_s
        while not await self._ping():
            if not self.alive:
                status = self._process.returncode if self._process else None
                raise InstanceFailed(self._unhealthy(f"exited with status {status} before it was healthy"))
            if asyncio.get_running_loop().time() > deadline:
                raise InstanceFailed(
                    self._unhealthy(
                        f"did not pass the ping health check within {self._limits.health_s:g} s "
                        "(ContainerStartupHealthCheckTimeoutInSeconds)"
                    )
                )
            await asyncio.sleep(_PING_INTERVAL_S)

    async def _ping(self) -> bool:
        try:
            async with self._session.get(f"{self.url}/ping", timeout=_PING_LIMIT) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _unhealthy(self, what: str) -> str:
        lines = self.last_lines() or "(it logged nothing)"
        return f"The container of variant {self.variant} {what}. The end of its log, {self.log}:\n{lines}"


async def _wait(process: asyncio.subprocess.Process, limit_s: float) -> None:
    try:
        await asyncio.wait_for(process.wait(), limit_s)
    except TimeoutError:
        return
