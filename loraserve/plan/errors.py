"""The planner's error."""

from __future__ import annotations

from loraserve.errors import UserError


class PlanError(UserError):
    """An option or a file that a plan cannot use."""

    exit_code = 2
