"""Rollout of endpoint updates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stacks.typed_yaml import Strict


class Rollout(Strict):
    """Replacement of the instances in an update of the endpoint, and its rollback."""

    strategy: Literal["auto", "all_at_once", "canary", "linear", "rolling"] = "auto"
    """`all_at_once`, `canary` and `linear` start a second fleet beside the first, so they need twice the
    instances (and quota) for a while; `rolling` replaces batches and needs at least two instances. `auto`:
    all at once if the fleet may have one instance only, rolling otherwise."""
    step_percent: int = Field(20, ge=10, le=50)
    """Share of the traffic of the canary, or of each step of a linear rollout."""
    step_seconds: int = Field(300, ge=0, le=3600)
    """Pause after the canary, after each linear step, and after each batch."""
    batch_percent: int = Field(50, ge=5, le=50)
    """Share of the fleet that a rolling update replaces at once."""
    bake_seconds: int = Field(300, ge=0, le=3600)
    """Time for which the old fleet is kept without traffic after the new one has all of it (not for rolling,
    which stops old instances with each batch)."""
    timeout_seconds: int | None = Field(None, ge=600, le=28800)
    """Time limit after which an unfinished update is rolled back; by default the limit of all its steps."""
    rollback_on_alarms: bool = True
    """Roll the update back on an alarm."""
