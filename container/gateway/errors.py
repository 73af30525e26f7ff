"""The exception that becomes an error answer, with its JSON body, and the error types of adapters."""

from __future__ import annotations

from http import HTTPStatus
from typing import Self


class GatewayError(Exception):
    """An error answer: a status, an error type and a message."""

    def __init__(
        self, status: int, error_type: str, message: str, *, retry_after_seconds: int | None = None
    ) -> None:
        """`error_type` is stable, for code; `message` never quotes a prompt or an answer."""
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @property
    def body(self) -> dict[str, str]:
        """JSON body, in the shape of LoRAX's errors."""
        return {"error": self.message, "error_type": self.error_type}

    @property
    def is_of_adapter(self) -> bool:
        """True if the adapter is the cause, so that loading it again may help."""
        return self.error_type in ADAPTER_ERRORS

    @property
    def is_ours(self) -> bool:
        """True if the container or the adapter store is the cause, not the request or the adapter."""
        return self.status == HTTPStatus.FAILED_DEPENDENCY or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @classmethod
    def validation(cls, problem: str) -> Self:
        """422 for a request that breaks a rule, with the prefix of LoRAX's message."""
        return cls(422, "validation", f"Input validation error: {problem}")

    @classmethod
    def unreachable(cls) -> Self:
        """503 for an engine that accepts no connection, or closed it before it had answered."""
        return cls(503, "engine_unavailable", "The engine does not answer: try again later")

    @classmethod
    def incomplete(cls) -> Self:
        """500 for an answer that the engine ended too early, without an error."""
        return cls(
            500, "incomplete_generation", "Incomplete generation: try again, or see the endpoint's log"
        )

    @classmethod
    def oversized(cls, part: str, limit: int) -> Self:
        """500 for an engine's response of which a `part`, answer or event, exceeds the limit in bytes."""
        return cls(500, "answer_too_large", f"The engine's {part} is above {limit} bytes: ask for less")

    @classmethod
    def generation(cls) -> Self:
        """500 for a failed generation; the engine's message may quote the prompt, so it is not passed on."""
        return cls(500, "generation", "Request failed during generation; the endpoint's log has the reason")

    @classmethod
    def wrong_adapter(cls) -> Self:
        """500 for an answer of another model than the requested one, or an engine that gave such answers."""
        return cls(
            500, WRONG_ADAPTER, "The engine answered with another model than the one asked for: try again"
        )

    @classmethod
    def out_of_memory(cls) -> Self:
        """503 for a full GPU memory; a retry may fit."""
        return cls(
            503, "out_of_memory", "The engine is out of GPU memory: try again later", retry_after_seconds=5
        )


#: A defect of the gateway; the log has the traceback.
INTERNAL = GatewayError(500, "internal", "Internal error; the endpoint's log has the reason")
#: The answer came from another model, so it was not passed on.
WRONG_ADAPTER = "wrong_adapter"
#: Refused for the limit of an adapter, or of a tenant.
ADAPTER_LIMIT = "adapter_limit"
TENANT_LIMIT = "tenant_limit"
#: In this order: objects missing from the store; a failed download or load; not servable by this engine; the
#: same answers as the base model's.
ADAPTER_MISSING = "adapter_missing"
ADAPTER_LOAD_FAILED = "adapter_load_failed"
ADAPTER_INCOMPATIBLE = "adapter_incompatible"
ADAPTER_WITHOUT_EFFECT = "adapter_without_effect"
ADAPTER_ERRORS = {
    ADAPTER_MISSING: 424,
    ADAPTER_LOAD_FAILED: 424,
    ADAPTER_INCOMPATIBLE: 409,
    ADAPTER_WITHOUT_EFFECT: 409,
}


def adapter_error(error_type: str, message: str) -> GatewayError:
    """Return the error for an adapter that cannot be served; `error_type` is a key of `ADAPTER_ERRORS`."""
    return GatewayError(ADAPTER_ERRORS[error_type], error_type, message)
