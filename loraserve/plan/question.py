"""The question to the planner: a configuration, its traffic, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loraserve.load.slo import LatencySlo
from loraserve.plan.calibration import Scales
from stacks.sizing.cost_estimate import Prices
from stacks.sizing.demand import Demand
from stacks.sizing.gpu_memory import Calibration
from stacks.sizing.throughput import Traffic

#: Values of a stage file by section and key.
Sections = Mapping[str, Mapping[str, Any]]

#: Different adapters where neither stage nor option says how many.
DEFAULT_ADAPTERS = 50


@dataclass(frozen=True, kw_only=True)
class Load:
    """Load that a plan is for; without either field the engine is full."""

    concurrency: int | None = None
    """Requests in flight on one instance, the waiting ones included."""
    rate: float | None = None
    """Requests per second of the whole endpoint."""


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Measurements that replace what is computed."""

    scales: Scales = field(default_factory=Scales)
    """Of a load test."""
    memory: Calibration | None = None
    """Of the engine's log."""


@dataclass(frozen=True, kw_only=True)
class PlanQuestion:
    """Everything that a plan depends on; `demand` is the configuration to start from."""

    model: str
    """Name of the base model."""
    demand: Demand
    other_seqs: int
    """Sequences of `demand.max_num_seqs` that the gateway keeps for its requests, and clients do not get."""
    traffic: Traffic
    slo: LatencySlo
    load: Load
    utilization: float
    """Share of the full throughput that is used, on average over the hours that are paid for."""
    region: str
    prices: Prices
    measurements: Measurements = field(default_factory=Measurements)
    sections: Sections = field(default_factory=dict)
    """Of the stage's file, without defaults: the plan keeps the keys that it does not change."""

    def scales(self, demand: Demand) -> Scales:
        """Return the scales for a configuration: a measurement counts for the GPU that it was taken on."""
        return self.measurements.scales if demand.instance.gpu == self.demand.instance.gpu else Scales()

    def calibration(self, demand: Demand) -> Calibration | None:
        """Return the measured memory for a configuration: on the same GPU, and as many of them."""
        same = demand.instance.gpu == self.demand.instance.gpu
        same = same and demand.tensor_parallel == self.demand.tensor_parallel
        return self.measurements.memory if same and demand.quantize == self.demand.quantize else None

    @property
    def adapters(self) -> int:
        """Number of different adapters."""
        return len(self.traffic.shares)

    def instance_hour(self, instance: str) -> float | None:
        """Return USD per hour of an instance type; None where the table has no price."""
        return self.prices.instance_hour(self.region, instance)
