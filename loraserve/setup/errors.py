"""The error of the set-up."""

from __future__ import annotations


class SetupError(Exception):
    """A step that failed, or a machine that cannot run it; the message has the reason and the remedy."""
