"""The facts of the stages, `lora-serving.json` in the cloud assembly, for reviews and promotions.

A template has these facts only as resources and hashes. The file enters no template and no asset, so a change
of it deploys nothing. Fields may be added under the same `schema`; a reader ignores those it does not know.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FACTS_FILE = "lora-serving.json"
SCHEMA = 1


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ImageFacts(_Facts):
    """The container's image."""

    uri: str | None
    """URI of the stage file; None for an asset."""
    asset: str | None
    """Hash of the image asset; None for an URI."""
    base: str | None
    """Reference of the base image with its tag; None for an URI."""
    base_digest: str | None
    """Digest of `container/images.lock`; None if it is not pinned."""


class ModelFacts(_Facts):
    """The base model."""

    name: str
    revision: str | None
    source: Literal["mirror", "hub", "directory"]
    """Origin of the container's files: the bucket's mirror, the Hub at start, or the bucket's copy of a
    local directory."""


class LimitFacts(_Facts):
    """Limits that a caller or publisher can meet."""

    max_input_tokens: int
    max_total_tokens: int
    max_new_tokens: int
    max_adapter_rank: int


class FleetFacts(_Facts):
    """The endpoint's instances."""

    instance_type: str
    initial: int
    minimum: int
    expected: float
    maximum: int
    """Schedules included, as `minimum`."""
    autoscaled: bool
    quota: int
    """Instances of quota that an update of the largest fleet needs."""


class RolloutFacts(_Facts):
    """Replacement of the fleet by an update, resolved."""

    strategy: Literal["all_at_once", "canary", "linear", "rolling"]
    step_percent: int
    step_seconds: int
    batch_percent: int
    bake_seconds: int
    pauses_seconds: int
    """Sum of the pauses: an update takes at least as long."""
    rollback_alarms: tuple[str, ...]
    """Names of the alarms that roll an update back."""


class BilledFacts(_Facts):
    """Quantities that are billed beside the instances; prices are the reader's."""

    region: str
    storage_gb: float
    kms_keys: int
    custom_metrics: int
    alarms: int
    dashboards: int
    nat_gateways: int
    interface_endpoints: int
    """Interface VPC endpoints × availability zones."""
    public_addresses: int
    """Public IPv4 addresses."""
    rollout_instances: int
    """Instances that an update adds."""


class PackedAdapterFacts(_Facts):
    """An entry of the packed manifest."""

    names: tuple[str, ...]
    """Published names, copies included."""
    source: str
    sha256: str | None
    digest: str | None = None
    """SHA-256 (hex) over both files as published; None if it is not known at synth."""
    origin: str = ""
    """Source of a locked adapter's files in the first of the stages."""
    labels: dict[str, str]
    limits: dict[str, int] = Field({})
    """Limits of each of its names, as in `adapters.limits.Limits`."""
    tenant_limits: dict[str, int] = Field({})
    """Limits of the tenant that its labels name."""


class RetentionFacts(_Facts):
    """Retention periods."""

    retired_days: int
    captured_days: int
    log_days: int
    retain_data: bool


class StageFacts(_Facts):
    """One stage."""

    name: str
    """Name of the stage file, e.g. `prod`."""
    promote_from: str | None = None
    """Stage that a release is verified in before this one."""
    endpoint_name: str
    engine: str
    image: ImageFacts
    model: ModelFacts
    limits: LimitFacts
    fleet: FleetFacts
    rollout: RolloutFacts
    billed: BilledFacts
    network: Literal["public", "vpc", "private"]
    adapters: tuple[PackedAdapterFacts, ...]
    adapters_locked: bool = False
    """Each adapter is a revision of a stage's store, by its digest."""
    store_readers: tuple[str, ...] = ()
    """Accounts and roles that may read the adapters, the registry and the releases."""
    removable_share: float
    """Share of the published adapters that a deploy may remove; 1 for all."""
    retention: RetentionFacts
    allow_unpinned_sources: bool
    warnings: tuple[str, ...]
    """Warnings of this synth."""

    @property
    def adapter_digests(self) -> dict[str, str | None]:
        """The digest of each published name; None if it is not known at synth."""
        return {name: adapter.digest for adapter in self.adapters for name in adapter.names}


class AppFacts(_Facts):
    """The file."""

    schema_version: int = Field(alias="schema")
    """`SCHEMA`."""
    prices_date: str
    """Year and month of the prices' table."""
    stages: dict[str, StageFacts]
    """By id, e.g. `Prod`."""
