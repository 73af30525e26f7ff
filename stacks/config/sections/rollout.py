"""How an update of the endpoint replaces its instances."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stacks.typed_yaml import Strict


class Rollout(Strict):
    """How an update of the endpoint replaces its instances, and when it goes back."""

    strategy: Literal["auto", "all_at_once", "canary", "linear", "rolling"] = "auto"
    """The first three start a second fleet beside the first, so they need twice the instances (and quota)
    for a while; `rolling` replaces batches and needs two instances at least. `auto`: all at once where one
    instance may be all there is, rolling otherwise."""
    step_percent: int = Field(20, ge=10, le=50)
    """Part of the traffic that a canary gets first, or that each step of a linear rollout moves."""
    step_seconds: int = Field(300, ge=0, le=3600)
    """Pause after the canary, after each linear step, and after each batch."""
    batch_percent: int = Field(50, ge=5, le=50)
    """Part of the fleet that a rolling update replaces at once."""
    bake_seconds: int = Field(300, ge=0, le=3600)
    """How long the old fleet is kept, without traffic, after the new one has all of it (not for rolling,
    whose old instances go with each batch)."""
    timeout_seconds: int | None = Field(None, ge=600, le=28800)
    """When an update that is not through is taken back; by default what all its steps may take."""
    rollback_on_alarms: bool = True
    """Whether an alarm takes the update back."""
