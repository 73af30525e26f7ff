"""Per-request record: what the access log, the metrics and a time-out's message report."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from enum import Enum


class Phase(Enum):
    """The resource that a request waits for; the value is part of the message of a 504."""

    REQUEST = "the rest of the request"
    REGISTRY = "the adapter store"
    LOADING = "the adapter to be loaded"
    QUEUE = "a free place at the engine"
    ENGINE = "the engine to generate"


@dataclass
class Usage:
    """Tokens of the prompt and of the answer, as the engine counts them."""

    prompt_tokens: int = 0
    generated_tokens: int = 0

    @property
    def total(self) -> int:
        """Tokens of both."""
        return self.prompt_tokens + self.generated_tokens


@dataclass
class RequestContext:
    """One request, filled in while it is served. Times are seconds."""

    route: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    adapter: str | None = None
    """The registered name; None for the base model, and until the registry has resolved the name."""
    revision: str | None = None
    base_model: bool = False
    """True for a request for the base model."""
    tenant: str | None = None
    """The customer to which the adapter belongs, if a label says so."""
    tokens: int = 1
    """Estimated tokens of the prompt and of the longest answer that the request asks for."""
    used_tokens: int = 0
    """Tokens that count for limits and turns at the end: 0 for a request that has not reached the engine."""
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
        """Start a phase; the time since the last call counts for the former one."""
        now = time.monotonic()
        self.waited[self.phase] = self.waited.get(self.phase, 0.0) + now - self._phase_began
        self.phase, self._phase_began = phase, now

    def finish(self, status: int, error_type: str | None = None) -> None:
        """Record the result; after an error in an open stream `status` is the error's, not the 200 sent."""
        self.enter(self.phase)
        self.status, self.error_type = status, error_type

    def saw_token(self) -> None:
        """Record the time of the first event; later ones change nothing."""
        if self.first_token_seconds is None:
            self.first_token_seconds = self.seconds

    @property
    def seconds(self) -> float:
        """Seconds since the request arrived."""
        return time.monotonic() - self.started
