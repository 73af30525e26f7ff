"""The error of a sandbox that cannot be made."""

from __future__ import annotations


class SandboxRefused(Exception):
    """The machine or the image does not allow a sandbox."""

    def __init__(self, problem: str, remedy: str) -> None:
        """The message is the problem and its remedy."""
        super().__init__(f"{problem}: {remedy}")
