"""One instance of an endpoint: model data, the container's process, its health check and its end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from laptop_cloud.api.account import Account
from laptop_cloud.containers.environment import DIRECTORIES, container_environment
from laptop_cloud.containers.images import REPOSITORY
from laptop_cloud.containers.logs import ContainerLog
from laptop_cloud.containers.model_data import ModelDataMissing, download
from laptop_cloud.containers.supervisor import supervised
from laptop_cloud.ports import free_ports

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
class LaunchSpec:
    """The container to run."""

    command: list[str]
    environment: Mapping[str, str]
    """The model's environment variables."""
    model_data: str | None
    """The S3 prefix of the model data; None if the model has none."""


@dataclass(frozen=True, kw_only=True)
class RoleAccess:
    """The container's access to AWS, with its execution role."""

    account: Account
    endpoint_url: str
    """The URL of AWS for the container."""
    credentials: Mapping[str, str]
    """The environment variables for the role's credentials."""
    make_s3: Callable[[], Any]
    """Makes an S3 client with the role."""


@dataclass(frozen=True, kw_only=True)
class StartLimits:
    """Seconds that the steps of a start may take."""

    download_s: float
    """For the model data."""
    health_s: float
    """Until the first successful health check."""


class Instance:
    """A process that serves one variant. It never outlives the process with this object."""

    def __init__(
        self,
        *,
        variant: str,
        container: LaunchSpec,
        access: RoleAccess,
        limits: StartLimits,
        directory: Path,
        log: Path,
        cloud_log: ContainerLog,
        session: aiohttp.ClientSession,
    ) -> None:
        """Set up an instance; `start` starts it.

        Args:
            variant: the variant's name.
            container: command, environment and model data.
            access: account, endpoint and credentials.
            limits: time limits of the start.
            directory: the instance's files, deleted with it.
            log: the file with the container's output, which is kept.
            cloud_log: sends `log` to CloudWatch Logs.
            session: the HTTP client for health checks.
        """
        self.variant = variant
        self.log = log
        self.url = ""
        self._container = container
        self._access = access
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
        for name in DIRECTORIES:
            (self._directory / name).mkdir(parents=True)
        if self._container.model_data is None:
            return
        try:
            s3 = await asyncio.to_thread(self._access.make_s3)
            fetch = asyncio.to_thread(download, self._container.model_data, self._directory / "model", s3)
            await asyncio.wait_for(fetch, self._limits.download_s)
        except ModelDataMissing as error:
            raise InstanceFailed(str(error)) from error
        except TimeoutError:
            raise InstanceFailed(
                f"the model data at {self._container.model_data} was not downloaded within "
                f"{self._limits.download_s:g} s (ModelDataDownloadTimeoutInSeconds)"
            ) from None

    async def _start_process(self) -> None:
        port, engine_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *supervised(self._container.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=container_environment(
                    self._container.environment,
                    directory=self._directory,
                    account=self._access.account,
                    endpoint_url=self._access.endpoint_url,
                    port=port,
                    engine_port=engine_port,
                    credentials=self._access.credentials,
                ),
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
