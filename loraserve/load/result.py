"""The result of one request of a load test."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import Enum


class LoadOutcome(Enum):
    """End of a request; the values are the words of reports and of the JSON document."""

    OK = "ok"
    MODEL_ERROR = "model error"
    """SageMaker's ModelError: the container refused or failed."""
    THROTTLED = "throttled"
    VALIDATION_ERROR = "validation error"
    """SageMaker refused the request: no such endpoint, a wrong signature, a body too large."""
    SERVICE_ERROR = "service error"
    """SageMaker failed, not the container: InternalFailure, ServiceUnavailable."""
    STREAM_ERROR = "error in the stream"
    """An error event: ModelStreamError, InternalStreamFailure, or an error of the container."""
    CUT = "stream cut off"
    """The connection ended before the last event."""
    TIMEOUT = "timeout"
    CONNECTION = "no connection"
    WITHHELD = "withheld"
    """Not sent: as many requests as `--max-in-flight` allows were in flight."""


@dataclass(slots=True)
class RequestResult:
    """One request; times in seconds of the run's clock, 0 at its start."""

    index: int
    """Position in the workload."""
    due_s: float
    sent_s: float
    """`sent_s - due_s` is the generator's lag."""
    first_token_s: float | None = None
    """Arrival of the first event with text; None without stream or text."""
    ended_s: float = 0.0
    token_gaps_s: array[float] = field(default_factory=lambda: array("f"))
    """Seconds between the events of a stream: inter-token latencies."""
    input_tokens: int | None = None
    """None where the answer does not say."""
    output_tokens: int = 0
    tokens_from_usage: bool = False
    """True if the engine counted `output_tokens`; False if they are the events counted here."""
    outcome: LoadOutcome = LoadOutcome.OK
    message: str | None = None
    """The error's text."""
    answered_by: str | None = None
    """Adapter that the container names in its answer, `name@revision`; None for the base model."""
    text: str | None = None
    """The whole text."""

    @property
    def latency_s(self) -> float:
        """Seconds from the time at which it was due to its end: what a caller waits for."""
        return self.ended_s - self.due_s

    @property
    def service_s(self) -> float:
        """Seconds from sending it to its end."""
        return self.ended_s - self.sent_s
