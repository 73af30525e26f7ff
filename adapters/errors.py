"""The errors of this package, each a sentence for the person who has to act on it."""

from __future__ import annotations


class AdapterError(Exception):
    """An adapter, a name or a reference that cannot be used, and what would be right."""

    def __init__(self, adapter: str, problem: str, remedy: str) -> None:
        """`adapter` is the name, reference or path that the caller wrote."""
        super().__init__(f"adapter {adapter!r}: {problem}; {remedy}")
        self.adapter = adapter
        self.problem = problem
        self.remedy = remedy


class InvalidName(AdapterError):
    """A name or a revision that breaks the rules of `adapters.names`."""


class InvalidAdapter(AdapterError):
    """Files that are not a LoRA adapter which the engine can serve."""
