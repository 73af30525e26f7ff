"""Counts of the warm-up and of the lists of demand, which the instance's metrics emit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WarmUpCounts:
    """Counts since the start."""

    adapters: int = 0
    """Adapters loaded before the instance came into service."""
    seconds: float = 0.0
    """Duration of the warm-up."""
    errors: int = 0
    """Lists of demand that could not be read or written."""
