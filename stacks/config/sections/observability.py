"""Alarms, dashboard and log retention."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stacks.typed_yaml import Strict, shaped

#: SNS refuses to subscribe anything else ("Invalid parameter: Email address"), in the middle of a deployment.
_Address = Annotated[str, shaped(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "write a mail address, e.g. team@example.com")]
_Topic = Annotated[
    str,
    shaped(
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+",
        "write a topic's ARN, e.g. arn:aws:sns:us-east-1:111122223333:alarms",
    ),
]


class Observability(Strict):
    """Alarms, dashboard and log retention. The dashboard shows each alarm, with or without subscribers."""

    alarm_topic: _Topic | None = None
    """ARN of an SNS topic for every alarm; by default the stage creates one."""
    alarm_emails: list[_Address] = Field([], max_length=20)
    """Addresses to subscribe to the stage's own topic; each must confirm the mail that SNS sends."""
    error_percent: float = Field(5, gt=0, le=100)
    """Share of requests answered 5XX that raises an alarm."""
    gpu_memory_percent: float = Field(98, gt=0, le=100)
    """Share of GPU memory in use that raises an alarm. Engines allocate most of it when they start."""
    disk_percent: float = Field(85, gt=0, le=100)
    """Share of the disk in use that raises an alarm."""
    dashboard: bool = True
    """Create a CloudWatch dashboard; 3 USD a month beyond an account's first three."""
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731] = 90
    """Days that CloudWatch keeps the logs of containers and seeder."""
