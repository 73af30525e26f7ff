"""The error of the autoscaling simulator."""

from __future__ import annotations

from loraserve.errors import UserError


class SimulationError(UserError):
    """A simulation that cannot be run; the message says what to give instead."""

    exit_code = 2
