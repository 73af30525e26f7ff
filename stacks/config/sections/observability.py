"""Alarms, dashboard and logs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stacks.typed_yaml import Strict


class Observability(Strict):
    """Alarms, dashboard and logs. Each alarm is on the dashboard, with or without someone to tell."""

    alarm_topic: str | None = Field(None, pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$")
    """ARN of an SNS topic that gets every alarm; by default the stage makes one."""
    alarm_emails: list[str] = Field([], max_length=20)
    """Subscribers of the stage's own topic; each must confirm the mail that SNS sends."""
    error_percent: float = Field(5, gt=0, le=100)
    """Failed requests, of all, that raise an alarm."""
    gpu_memory_percent: float = Field(98, gt=0, le=100)
    """GPU memory in use that raises an alarm. Engines take most of it on purpose when they start."""
    disk_percent: float = Field(85, gt=0, le=100)
    """Disk in use that raises an alarm."""
    dashboard: bool = True
    """Whether the stage has a dashboard; 3 USD a month beyond an account's first three."""
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731] = 90
    """How long CloudWatch keeps the logs of containers and seeder."""
