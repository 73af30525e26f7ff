"""What the estimate of the monthly cost assumes."""

from __future__ import annotations

from pydantic import Field

from stacks.typed_yaml import Strict


class Cost(Strict):
    """What the estimate of the monthly cost assumes beyond the limits of autoscaling."""

    expected_instances: float | None = Field(None, gt=0)
    """Instances on average; by default `endpoint.instance_count`."""
    storage_gb: float = Field(50, ge=0)
    """Adapters, old revisions and a mirrored base model in the bucket (10^9 bytes)."""
