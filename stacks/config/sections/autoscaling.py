"""How many instances serve, and when."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from stacks.typed_yaml import Strict

#: Application Auto Scaling's cron has six fields, the last one the year.
_CRON = re.compile(r"cron\((\S+ ){5}\S+\)")


def _cron(value: str) -> str:
    if _CRON.fullmatch(value) is None:
        raise ValueError("write six fields, e.g. cron(0 7 ? * MON-FRI *)")
    days_of_month, days_of_week = value.removesuffix(")").split(" ")[2:5:2]
    if (days_of_month == "?") == (days_of_week == "?"):
        raise ValueError("exactly one of day of month (third field) and day of week (fifth) must be ?")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (LookupError, ValueError):
        raise ValueError("write a name of the IANA database, e.g. Europe/Berlin") from None
    return value


class Schedule(Strict):
    """New limits at a time: for business hours, or for the nights and weekends without traffic."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    """What CloudFormation and the console call it."""
    cron: Annotated[str, AfterValidator(_cron)]
    """When, in six fields: minute, hour, day of month, month, day of week, year."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """Whose clock `cron` is read by."""
    min_instances: int = Field(ge=1)
    """Never fewer from then on. A variant cannot go below 1."""
    max_instances: int = Field(ge=1)
    """Never more from then on."""

    @model_validator(mode="after")
    def _ordered(self) -> Schedule:
        if self.min_instances > self.max_instances:
            raise ValueError("min_instances must be at most max_instances")
        return self


class Autoscaling(Strict):
    """Target tracking of the load per instance, between two limits."""

    enabled: bool = True
    """Without it, there are `endpoint.instance_count` instances."""
    metric: Literal["concurrent_requests", "invocations_per_instance"] = "concurrent_requests"
    """What is tracked: requests in flight, counted until their last token and told every 10 s; or requests
    per minute, which says little where one request costs a hundred times another."""
    target: float = Field(5, gt=0)
    """Of the metric, per instance. 5 in flight is AWS's example; set it to about 0.7 of what your load test
    finds."""
    min_instances: int = Field(1, ge=1)
    """Never fewer."""
    max_instances: int = Field(2, ge=1)
    """Never more: the bound of the bill."""
    scale_out_cooldown_seconds: int = Field(300, ge=0)
    """Pause after adding instances; about as long as an instance needs to start."""
    scale_in_cooldown_seconds: int = Field(600, ge=0)
    """Pause after removing instances."""
    schedules: list[Schedule] = Field([], max_length=20)
    """Limits that change with the clock. A deployment that changes anything here sets the limits above again
    until the next one is due."""

    @model_validator(mode="after")
    def _ordered(self) -> Autoscaling:
        if self.min_instances > self.max_instances:
            raise ValueError("min_instances must be at most max_instances")
        names = [schedule.name for schedule in self.schedules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"schedules: {twice[0]!r} is there twice; give each a name of its own")
        return self
