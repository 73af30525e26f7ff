"""Autoscaling: limits, target and schedules."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from adapters.closest import closest
from autoscaling.cron import parse_cron
from stacks.typed_yaml import Strict, shaped
from stacks.wording import stated


def _cron(value: str) -> str:
    parse_cron(value)
    return value


@cache
def _timezones() -> frozenset[str]:
    """The names of the IANA database, of the pinned package `tzdata` and not of the machine."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


def _timezone(value: str) -> str:
    if value not in _timezones():
        raise ValueError(
            f"write a name of the IANA database, e.g. Europe/Berlin{closest(value, sorted(_timezones()))}"
        )
    return value


_NAME = shaped(
    "[a-z][a-z0-9-]{0,62}", "write a lower-case letter, then lower-case letters, digits and -, at most 63"
)


class Schedule(Strict):
    """New limits from a point in time on, e.g. for business hours, or for nights and weekends."""

    name: Annotated[str, _NAME]
    """Name in CloudFormation and in the console."""
    cron: Annotated[str, AfterValidator(_cron)]
    """Start time in six fields: minute, hour, day of month, month, day of week, year."""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """Time zone of `cron`."""
    min_instances: int = Field(ge=1)
    """Minimum number of instances from then on. A variant cannot go below 1."""
    max_instances: int = Field(ge=1)
    """Maximum number of instances from then on."""

    @model_validator(mode="after")
    def _ordered(self) -> Schedule:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"{stated(self, 'min_instances')}, must be at most {stated(self, 'max_instances')}"
            )
        return self


class Autoscaling(Strict):
    """Target tracking of the load per instance, between two limits."""

    enabled: bool = True
    """If false, the number of instances is `endpoint.instance_count`."""
    metric: Literal["concurrent_requests", "invocations_per_instance"] = "concurrent_requests"
    """Tracked metric: requests in flight, counted until their last token and reported every 10 s; or requests
    per minute, which is imprecise where one request costs a hundred times another."""
    target: Annotated[float, Field(gt=0)] | None = None
    """Target value of the metric, per instance. By default it is derived at synth, which prints it: 0.4 times
    the requests in flight that one instance is computed to answer within `slo_seconds`; for
    `invocations_per_instance` the requests per minute at that load."""
    slo_seconds: Annotated[float, Field(gt=0)] | None = None
    """Seconds within which a typical request is answered; the target is derived from it. By default twice the
    seconds that a request takes if it is alone on its instance."""
    typical_input_tokens: int = Field(60, ge=1)
    """Input tokens of a typical request."""
    typical_output_tokens: int = Field(64, ge=1)
    """Output tokens of a typical request. The two defaults are the requests of the article in README.md."""
    min_instances: int = Field(1, ge=1)
    """Minimum number of instances."""
    max_instances: int = Field(2, ge=1)
    """Maximum number of instances: the upper bound of the bill."""
    scale_out_cooldown_seconds: int = Field(300, ge=0)
    """Pause after adding instances; about as long as an instance needs to start."""
    scale_in_cooldown_seconds: int = Field(600, ge=0)
    """Pause after removing instances."""
    schedules: list[Schedule] = Field([], max_length=20)
    """Limits by time. A deployment that changes anything here applies the limits above until the next
    schedule is due."""

    @model_validator(mode="after")
    def _ordered(self) -> Autoscaling:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"{stated(self, 'min_instances')}, must be at most {stated(self, 'max_instances')}"
            )
        names = [schedule.name for schedule in self.schedules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"schedules: {twice[0]!r} is there twice; give each another name")
        return self
