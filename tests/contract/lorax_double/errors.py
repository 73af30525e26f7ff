"""The errors that callers get: `InferError` in router/src/infer.rs, statuses in router/src/server.rs."""

from typing import Any, Self


class InferError(Exception):
    """An error with its status and its JSON body; in a stream the body is an event."""

    def __init__(self, status: int, error_type: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error_type = error_type

    @property
    def body(self) -> dict[str, Any]:
        return {"error": str(self), "error_type": self.error_type}

    @classmethod
    def generation(cls, text: str) -> Self:
        """Return the error of a failure on a shard; `text` is the exception's."""
        return cls(424, "generation", f"Request failed during generation: Server error: {text}")

    @classmethod
    def overloaded(cls) -> Self:
        return cls(429, "overloaded", "Model is overloaded")

    @classmethod
    def validation(cls, text: str) -> Self:
        return cls(422, "validation", f"Input validation error: {text}")

    @classmethod
    def incomplete(cls) -> Self:
        return cls(500, "incomplete_generation", "Incomplete generation")

    @classmethod
    def template(cls, text: str) -> Self:
        return cls(422, "template_error", f"Failed applying chat template to inputs: {text}")

    @classmethod
    def tool(cls, text: str) -> Self:
        return cls(422, "tool_error", f"Tool error: {text}")


class ServerError(Exception):
    """A shard's error to the router; its text is the Python exception's (interceptor.py)."""
