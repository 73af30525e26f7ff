"""Assumptions of the monthly cost estimate."""

from __future__ import annotations

from pydantic import Field

from stacks.typed_yaml import Strict


class Cost(Strict):
    """Assumptions of the monthly cost estimate, beside the limits of autoscaling."""

    expected_instances: float | None = Field(None, gt=0)
    """Average number of instances; by default `endpoint.instance_count`."""
    storage_gb: float = Field(50, ge=0)
    """Adapters, old revisions and a mirrored base model in the bucket (10^9 bytes)."""
