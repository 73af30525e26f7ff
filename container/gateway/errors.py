"""The one exception that a caller gets to see, and its one shape on the wire."""

from __future__ import annotations

from typing import Self


class GatewayError(Exception):
    """An answer other than the generated text: a status, an error type and a sentence."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        """`status` tells the caller what to do about it, `error_type` is stable and meant for code."""
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message

    @property
    def body(self) -> dict[str, str]:
        """The JSON body, the same as LoRAX's own errors."""
        return {"error": self.message, "error_type": self.error_type}

    @classmethod
    def validation(cls, problem: str) -> Self:
        """The request can be read, but breaks a rule: 422, in LoRAX's words."""
        return cls(422, "validation", f"Input validation error: {problem}")
