"""Measures a request to an instance: what its container answers, and how long that takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from laptop_cloud.containers.instance import Instance
from laptop_cloud.sagemaker.metrics import Outcome

#: What is raised when a container does not answer, or stops in the middle.
CONTAINER_BROKE: Final = (aiohttp.ClientError, TimeoutError)


class Request:
    """One request to one instance: how its container answers, and how long that takes."""

    def __init__(self, instance: Instance, arrived: float) -> None:
        """`arrived` is when the client's request did, by `time.perf_counter`."""
        self.instance = instance
        self.status: int | None = None
        self._arrived = arrived
        self._model_s = 0.0

    @contextlib.asynccontextmanager
    async def answered(
        self, posted: aiohttp.client._RequestContextManager
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The container's answer; the block is the model's time, and an error in it is the status 0."""
        began = time.perf_counter()
        try:
            async with posted as answer:
                self.status = answer.status
                yield answer
        except CONTAINER_BROKE:
            self.status = 0
            raise
        finally:
            self._model_s = time.perf_counter() - began

    def outcome(self) -> Outcome:
        """How it went; the client has its answer."""
        overhead = time.perf_counter() - self._arrived - self._model_s
        return Outcome(self.status, self._model_s, overhead)
