"""Rough monthly cost of a stage by the table of `prices.yaml`: on-demand prices, no request to AWS.

Not in it: requests, data transfer and what NAT gateways and interface endpoints charge by the GB, logs, the
network of an existing VPC, the free tier, savings plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stacks.typed_yaml import Strict, read, shaped

PRICES = Path(__file__).with_name("prices.yaml")
#: AWS's own month: 365 × 24 / 12.
HOURS_PER_MONTH = 730

Price = Annotated[float, Field(gt=0)]


class RegionPrices(Strict):
    """USD in one region; see the comments in `prices.yaml`."""

    instance_hour: Mapping[str, Price]
    storage_gb_month: Price
    kms_key_month: Price
    custom_metric_month: Price
    alarm_month: Price
    dashboard_month: Price
    nat_gateway_hour: Price
    interface_endpoint_hour: Price
    public_address_hour: Price


class Prices(Strict):
    """The whole table."""

    date: Annotated[str, shaped(r"\d{4}-\d{2}", "write year and month, e.g. 2026-01")]
    """Year and month of the prices."""
    source: str
    """Origin of the prices, in a sentence."""
    regions: Mapping[str, RegionPrices]

    def instance_hour(self, region: str, instance_type: str) -> float | None:
        """Return USD per hour of an instance type in a region; None where the table has no price."""
        here = self.regions.get(region)
        return None if here is None else here.instance_hour.get(instance_type)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """USD; all but `instance_hour` and `rollout_hour` per month."""

    instance_type: str
    region: str
    date: str
    """Date of the prices."""
    source: str
    instance_hour: float
    counts: tuple[float, float, float]
    """Numbers of instances: minimum, expected, maximum."""
    storage: float
    keys: float
    metrics: float
    alarms: float
    dashboards: float
    nat_gateways: float
    interface_endpoints: float
    public_addresses: float
    rollout_instances: int
    """Additional instances during an update."""

    @property
    def fixed(self) -> float:
        """The part that does not depend on the number of instances."""
        return sum(usd for _, usd in self.fixed_parts())

    @property
    def minimum(self) -> float:
        """The sum with the fewest instances."""
        return self.at(self.counts[0])

    @property
    def expected(self) -> float:
        """The sum with the expected number of instances."""
        return self.at(self.counts[1])

    @property
    def maximum(self) -> float:
        """The sum with the most instances: the upper bound of the bill, without updates."""
        return self.at(self.counts[2])

    @property
    def rollout_hour(self) -> float:
        """Additional cost of each hour of an update."""
        return self.rollout_instances * self.instance_hour

    def at(self, instances: float) -> float:
        """The sum with a constant number of instances."""
        return instances * self.instance_hour * HOURS_PER_MONTH + self.fixed

    def one_line(self) -> str:
        """Make the line of a stack's output."""
        counts = ", ".join(
            f"{self.at(count):,.0f} at {count:g} instance{'' if count == 1 else 's'}"
            for count in sorted(set(self.counts))
        )
        rollout = f"an update adds {self.rollout_hour:,.2f} per hour; " if self.rollout_instances else ""
        return (
            f"about USD per month: {counts}; {rollout}"
            f"on-demand prices of {self.date}, {self.instance_type} in {self.region}"
        )

    def table(self) -> list[tuple[str, str]]:
        """Make rows of item and USD, for printing."""
        instances = [
            (f"{count:g} × {self.instance_type}", count * self.instance_hour * HOURS_PER_MONTH)
            for count in sorted(set(self.counts))
        ]
        sums = [
            (f"all at {count:g} instance{'' if count == 1 else 's'}", self.at(count))
            for count in sorted(set(self.counts))
        ]
        rows = [*instances, *(row for row in self.fixed_parts() if row[1]), *sums]
        if self.rollout_instances:
            rows.append((f"each hour of an update, {self.rollout_instances} more", self.rollout_hour))
        return [(what, f"{usd:,.2f}") for what, usd in rows]

    def fixed_parts(self) -> list[tuple[str, float]]:
        """List item and USD of the part that does not depend on the number of instances."""
        return [
            ("storage (S3)", self.storage),
            ("keys (KMS)", self.keys),
            ("custom metrics", self.metrics),
            ("alarms", self.alarms),
            ("dashboards", self.dashboards),
            ("NAT gateways", self.nat_gateways),
            ("interface endpoints", self.interface_endpoints),
            ("public IPv4 addresses", self.public_addresses),
        ]


@dataclass(frozen=True, kw_only=True)
class BilledUsage:
    """Resources of a stage that are billed."""

    instance_type: str
    region: str
    minimum: float
    """Number of instances; `minimum` ≤ `expected` ≤ `maximum`."""
    expected: float
    maximum: float
    storage_gb: float
    """10^9 bytes in S3."""
    rollout_instances: int
    """Instances that an update adds."""
    kms_keys: int = 0
    custom_metrics: int = 0
    alarms: int = 0
    dashboards: int = 0
    nat_gateways: int = 0
    interface_endpoints: int = 0
    """Interface VPC endpoints × availability zones."""
    public_addresses: int = 0
    """Public IPv4 addresses."""

    def __post_init__(self) -> None:
        """Check the order of the numbers of instances."""
        if not 0 <= self.minimum <= self.expected <= self.maximum:
            raise ValueError(
                "instances must be minimum ≤ expected ≤ maximum, not "
                f"{self.minimum}, {self.expected}, {self.maximum}"
            )


def estimate(usage: BilledUsage, prices: Prices | None = None) -> Estimate | None:
    """Estimate a stage's cost; None where the table has no price for the instance type in the region.

    `prices` is for another table.
    """
    table = load_prices() if prices is None else prices
    here = table.regions.get(usage.region)
    hour = table.instance_hour(usage.region, usage.instance_type)
    if here is None or hour is None:
        return None
    return Estimate(
        instance_type=usage.instance_type,
        region=usage.region,
        date=table.date,
        source=table.source,
        instance_hour=hour,
        counts=(usage.minimum, usage.expected, usage.maximum),
        storage=usage.storage_gb * here.storage_gb_month,
        keys=usage.kms_keys * here.kms_key_month,
        metrics=usage.custom_metrics * here.custom_metric_month,
        alarms=usage.alarms * here.alarm_month,
        dashboards=usage.dashboards * here.dashboard_month,
        nat_gateways=usage.nat_gateways * here.nat_gateway_hour * HOURS_PER_MONTH,
        interface_endpoints=usage.interface_endpoints * here.interface_endpoint_hour * HOURS_PER_MONTH,
        public_addresses=usage.public_addresses * here.public_address_hour * HOURS_PER_MONTH,
        rollout_instances=usage.rollout_instances,
    )


@cache
def load_prices(path: Path = PRICES) -> Prices:
    """Read the table, once; raises `ConfigError`."""
    return read(path, Prices)
