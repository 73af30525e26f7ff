"""How an engine is started and spoken to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from container.gateway.engine.backend import Backend
from container.gateway.engine.connection import EnginePool


@dataclass(frozen=True)
class Launch:
    """An engine's command line, its whole environment, and its interface."""

    command: tuple[str, ...]
    environment: dict[str, str]
    connect: Callable[[EnginePool], Backend]
