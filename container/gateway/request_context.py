"""One request and what became of it: what the log, the metrics and a time-out tell."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from enum import Enum


class Phase(Enum):
    """What a request is waiting for; the value is said to a caller whose time is up."""

    REQUEST = "the rest of the request"
    REGISTRY = "the adapter store"
    LOADING = "the adapter to be loaded"
    QUEUE = "a free place at the engine"
    ENGINE = "the engine to generate"


@dataclass
class Usage:
    """Tokens read and written, as the engine counts them."""

    prompt_tokens: int = 0
    generated_tokens: int = 0


@dataclass
class Exchange:
    """Filled in while the request is served. Times are seconds."""

    route: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    adapter: str | None = None
    """The registered name, None for the base model and before the name is known to be registered."""
    revision: str | None = None
    base_model: bool = False
    """Whether the base model was asked for."""
    stream: bool = False
    status: int = 0
    error_type: str | None = None
    usage: Usage = field(default_factory=Usage)
    first_token_seconds: float | None = None
    """From the request's arrival to the first event of a stream."""
    started: float = field(default_factory=time.monotonic)
    waited: dict[Phase, float] = field(default_factory=dict)
    phase: Phase = Phase.REQUEST
    _phase_began: float = field(default_factory=time.monotonic)

    def enter(self, phase: Phase) -> None:
        """From now on the request waits for something else."""
        now = time.monotonic()
        self.waited[self.phase] = self.waited.get(self.phase, 0.0) + now - self._phase_began
        self.phase, self._phase_began = phase, now

    def finish(self, status: int, error_type: str | None = None) -> None:
        """The request is over; of an error in a stream that had begun, the status is the error's."""
        self.enter(self.phase)
        self.status, self.error_type = status, error_type

    def heard(self) -> None:
        """An event has come from the engine; the first one counts."""
        if self.first_token_seconds is None:
            self.first_token_seconds = self.seconds

    @property
    def seconds(self) -> float:
        """Since the request arrived."""
        return time.monotonic() - self.started
