"""The result of a check: of the doctor, of a promotion before its deployment, of a verification after it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    """✓: asked, and as the deployment needs it."""
    PROBLEM = "problem"
    """✗: it would stop the deployment, or leave an endpoint that cannot work."""
    WARNING = "warning"
    """!: asked, and unusual; it stops nothing."""
    UNKNOWN = "unknown"
    """–: not asked or not answered, e.g. for lack of a permission; never reported as OK."""


@dataclass(frozen=True)
class Finding:
    """One line of a table of checks."""

    check: str
    """Subject of the check, a noun of a few words, e.g. `instance quota`."""
    state: State
    found: str
    """Result of the check, with its figures and names."""
    remedy: str = ""
    """Remedy; empty for OK. Commands are complete, so that they can be copied."""


def ok(check: str, found: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, State.OK, found)


def problem(check: str, found: str, remedy: str) -> Finding:
    """Return a finding that would stop the deployment."""
    return Finding(check, State.PROBLEM, found, remedy)


def warning(check: str, found: str, remedy: str = "") -> Finding:
    """Return a finding that stops nothing."""
    return Finding(check, State.WARNING, found, remedy)


def unknown(check: str, found: str, remedy: str = "") -> Finding:
    """Return a finding about something that could not be checked."""
    return Finding(check, State.UNKNOWN, found, remedy)
