"""The state of a stage as plain values; `to_document` is the JSON of `status --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EndpointState:
    """The endpoint as SageMaker describes it."""

    name: str
    variant: str | None
    """Name of its production variant; None if it could not be created."""
    status: str
    config: str
    changed: datetime
    """Time of its last change."""
    failure: str
    """SageMaker's reason of a failure; empty for none."""
    instances: int
    wanted_instances: int
    instance_type: str | None
    """None if the config that serves is deleted."""
    limits: tuple[int, int] | None
    """Fewest and most instances of autoscaling; None without it."""


@dataclass(frozen=True, kw_only=True)
class AdapterCounts:
    """Number of adapters: published, and on an instance, as the mean of the instances."""

    published: int
    in_slots: float | None
    """None if no instance reported it in the last minutes, as for the next two."""
    in_memory: float | None
    on_disk: float | None


@dataclass(frozen=True, kw_only=True)
class RequestCounts:
    """Requests that ended in the last hour."""

    requests: int
    errors: int


@dataclass(frozen=True, kw_only=True)
class AlarmStates:
    """The stage's alarms."""

    total: int
    raised: tuple[str, ...]
    """Names of those in ALARM."""
    silent: tuple[str, ...]
    """Names of those without data."""


@dataclass(frozen=True, kw_only=True)
class ReleaseState:
    """The deployment that serves, by the stage's records."""

    release: str | None
    """Id of the release; None for a deployment by hand or without a record."""
    kind: str | None
    """Reason of the deployment; None without a record."""
    outcome: str | None
    ended: str | None
    hold: str | None
    """Reason for which no release is promoted to the stage."""
    lock: str | None
    """The deployment under way."""


@dataclass(frozen=True, kw_only=True)
class HourlyCost:
    """Cost of the instances at their present number, by on-demand prices."""

    usd: float | None
    """None where the table has no price for the instance type."""
    billed: bool
    """False on the laptop cloud, which costs nothing: `usd` is then the cost of the same in AWS."""
    prices: str
    """Month of the prices."""
    monthly: str
    """The estimate of the whole stage in the stack's output; empty if it has none."""


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """The whole state; a part that AWS did not answer is None, with the reason in `not_known`."""

    stage: str
    account: str | None
    region: str
    at: datetime
    stacks: dict[str, str] | None = None
    """Status of each stack, by its name within the stage."""
    endpoint: EndpointState | None = None
    """None also for an endpoint that does not exist."""
    adapters: AdapterCounts | None = None
    requests: RequestCounts | None = None
    alarms: AlarmStates | None = None
    release: ReleaseState | None = None
    cost: HourlyCost | None = None
    not_known: dict[str, str] = field(default_factory=dict)
    """The reason for each part that is not known, by the part's name."""

    def to_document(self) -> dict[str, Any]:
        """Return it as values that `json.dumps` writes, times in ISO 8601."""
        document = asdict(self) | {"at": self.at.isoformat(timespec="seconds")}
        if self.endpoint is not None:
            document["endpoint"]["changed"] = self.endpoint.changed.isoformat(timespec="seconds")
        return document
