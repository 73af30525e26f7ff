"""The one exception that a caller gets to see, and its one shape on the wire."""

from __future__ import annotations

from http import HTTPStatus
from typing import Self


class GatewayError(Exception):
    """An answer other than the generated text: a status, an error type and a sentence."""

    def __init__(
        self, status: int, error_type: str, message: str, *, retry_after_seconds: int | None = None
    ) -> None:
        """`status` tells the caller what to do about it, `error_type` is stable and meant for code."""
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @property
    def body(self) -> dict[str, str]:
        """The JSON body, the same as LoRAX's own errors."""
        return {"error": self.message, "error_type": self.error_type}

    @property
    def is_of_adapter(self) -> bool:
        """Whether the adapter is the reason, so that it may help to load it again."""
        return self.error_type in ADAPTER_ERRORS

    @property
    def is_ours(self) -> bool:
        """Whether the container or the adapter store is to blame, and not what was asked or published."""
        return self.status == HTTPStatus.FAILED_DEPENDENCY or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @classmethod
    def validation(cls, problem: str) -> Self:
        """The request can be read, but breaks a rule: 422, in LoRAX's words."""
        return cls(422, "validation", f"Input validation error: {problem}")

    @classmethod
    def unreachable(cls) -> Self:
        """The engine takes no connection, or closed it before it had answered."""
        return cls(503, "engine_unavailable", "The engine does not answer")

    @classmethod
    def incomplete(cls) -> Self:
        """The engine stopped before the end and did not say why."""
        return cls(500, "incomplete_generation", "Incomplete generation")

    @classmethod
    def oversized(cls, part: str, limit: int) -> Self:
        """A `part` of the engine's response, its answer or an event, exceeds the gateway's limit in bytes."""
        return cls(500, "answer_too_large", f"The engine's {part} is above {limit} bytes: ask for less")

    @classmethod
    def generation(cls) -> Self:
        """The engine failed; what it says about that may quote the prompt, so it is not told."""
        return cls(500, "generation", "Request failed during generation")

    @classmethod
    def wrong_adapter(cls) -> Self:
        """The engine says that another model answered than the one that was asked for."""
        return cls(500, WRONG_ADAPTER, "The engine answered with another model than the one asked for")

    @classmethod
    def out_of_memory(cls) -> Self:
        """The GPU's memory is full; less at once may fit."""
        return cls(
            503, "out_of_memory", "The engine is out of GPU memory: try again later", retry_after_seconds=5
        )


#: A defect of the gateway itself; what it was stands in the log.
INTERNAL = GatewayError(500, "internal", "Internal error; the endpoint's log says where")
#: The answer was another model's, so it was not given.
WRONG_ADAPTER = "wrong_adapter"
#: The objects are not there; they cannot be fetched or read; this engine cannot serve them.
ADAPTER_MISSING = "adapter_missing"
ADAPTER_LOAD_FAILED = "adapter_load_failed"
ADAPTER_INCOMPATIBLE = "adapter_incompatible"
ADAPTER_ERRORS = {ADAPTER_MISSING: 424, ADAPTER_LOAD_FAILED: 424, ADAPTER_INCOMPATIBLE: 409}


def adapter_error(error_type: str, message: str) -> GatewayError:
    """An adapter that cannot be served: one of `ADAPTER_ERRORS`, with its status."""
    return GatewayError(ADAPTER_ERRORS[error_type], error_type, message)
