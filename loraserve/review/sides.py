"""The two sides of a review."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side."""

    name: str
    commit: str
    assembly: Path
    tooling: None = None
    has_heads_packages: bool = False


@contextmanager
def synthesized_sides(
    base: str | None, stage: str | None, *, same_packages: bool = False
) -> Iterator[tuple[Side, Side]]:
    """Placeholder."""
    if base is None:
        raise NotImplementedError
    yield
