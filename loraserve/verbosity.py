"""Amount of output that the user asked for, with `-q` or `-v`: one value for the whole process."""

from __future__ import annotations

from enum import IntEnum


class Verbosity(IntEnum):
    """Amount of output beside a command's result."""

    QUIET = -1
    """Errors only: no progress, no notes."""
    NORMAL = 0
    """Progress and notes."""
    VERBOSE = 1
    """Also each request to AWS, and the stack trace of an error."""


_chosen = Verbosity.NORMAL


def choose(verbosity: Verbosity) -> None:
    """Set the verbosity of this process."""
    global _chosen  # noqa: PLW0603 — it is a property of the process, like its log level
    _chosen = verbosity


def is_quiet() -> bool:
    """Return True if progress and notes are not wanted."""
    return _chosen is Verbosity.QUIET


def is_verbose() -> bool:
    """Return True if requests and stack traces are wanted."""
    return _chosen is Verbosity.VERBOSE
