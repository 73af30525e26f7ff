"""CloudWatch Logs of a container: its output, sent with the model's execution role, as SageMaker does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from laptop_cloud.containers.credentials import RoleRefused
from laptop_cloud.containers.embedded_metrics import EmbeddedMetrics

_LOGGER: Final = logging.getLogger("laptop_cloud")
#: Seconds between two reads of a container's output.
_INTERVAL_S: Final = 1.0
#: Bytes of a read and events of a request, within PutLogEvents' limits: 1 MiB, of which each event takes 26
#: bytes on top of its message, and 10,000 events.
_CHUNK_BYTES: Final = 262_144
_BATCH_EVENTS: Final = 2000
#: No retries: the next read tries again.
SETTINGS: Final = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})


class ContainerLog:
    """One log stream, filled from the file with a container's output."""

    def __init__(
        self, file: Path, group: str, stream: str, client: Callable[[], Any], metrics: EmbeddedMetrics
    ) -> None:
        """`client` makes a client of CloudWatch Logs; it is called once, on a thread.

        `metrics` publishes those of the stored lines.
        """
        self._file = file
        self._group = group
        self._stream = stream
        self._make_client = client
        self._metrics = metrics
        self._client: Any = None
        self._created = False
        self._position = 0
        self._last_error: str | None = None
        self._ended = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start to send new lines of the file."""
        self._following = asyncio.create_task(self._follow())

    async def end(self) -> None:
        """Send the rest and stop."""
        self._ended.set()
        if self._following is not None:
            await self._following

    async def _follow(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _INTERVAL_S)
            await asyncio.to_thread(self._send, rest=self._ended.is_set())

    def _send(self, *, rest: bool) -> None:
        """Send the new lines; with `rest`, also an unterminated last one. A failed request is repeated."""
        try:
            for lines, end in self._new_lines(rest):
                self._create_stream()
                self._put(lines)
                self._position = end
        except BotoCoreError:
            # No connection: the laptop cloud is stopping.
            return
        except (ClientError, RoleRefused) as error:
            if str(error) != self._last_error:
                self._last_error = str(error)
                _LOGGER.warning("no logs of %s in %s: %s", self._stream, self._group, error)

    def _new_lines(self, rest: bool) -> Iterator[tuple[list[str], int]]:
        """Yield the lines that are not empty, and the position in the file after them."""
        while True:
            with self._file.open("rb") as file:
                file.seek(self._position)
                chunk = file.read(_CHUNK_BYTES)
            whole = chunk.rfind(b"\n") + 1
            if whole == 0 and (rest or len(chunk) == _CHUNK_BYTES):
                whole = len(chunk)
            if whole == 0:
                return
            lines = chunk[:whole].decode(errors="replace").splitlines()
            yield [line for line in lines if line.strip()], self._position + whole

    def _create_stream(self) -> None:
        if self._created:
            return
        self._client = self._client or self._make_client()
        name = {"logGroupName": self._group, "logStreamName": self._stream}
        try:
            self._client.create_log_stream(**name)
        except self._client.exceptions.ResourceNotFoundException:
            # Another instance may have created it meanwhile.
            with contextlib.suppress(self._client.exceptions.ResourceAlreadyExistsException):
                self._client.create_log_group(logGroupName=self._group)
            self._client.create_log_stream(**name)
        except self._client.exceptions.ResourceAlreadyExistsException:
            # Created by a request whose response was lost.
            pass
        self._created = True

    def _put(self, lines: list[str]) -> None:
        now = round(time.time() * 1000)
        for start in range(0, len(lines), _BATCH_EVENTS):
            events = [{"timestamp": now, "message": line} for line in lines[start : start + _BATCH_EVENTS]]
            self._client.put_log_events(
                logGroupName=self._group, logStreamName=self._stream, logEvents=events
            )
        self._metrics.publish(lines)
