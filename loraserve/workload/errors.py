"""The error of workloads: an unusable description, or a damaged trace."""

from __future__ import annotations

from loraserve.errors import UserError


class WorkloadError(UserError):
    """A description of a workload or a trace that cannot be used; the message says how to correct it."""

    exit_code = 2
