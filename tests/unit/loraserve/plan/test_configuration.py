"""Evaluation of a configuration."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loraserve.plan.calibration import Scales
from loraserve.plan.configuration import Configuration, Misfit, evaluate
from loraserve.plan.question import Load, Measurements, PlanQuestion
from stacks.config.loading import load_stage
from stacks.config.memory_check import demand_of, memory_refusal
from stacks.project import ROOT
from stacks.sizing.gpu_memory import plan_of
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.popularity import miss_rate, uniform, zipf
from tests.unit.loraserve.plan.questions import question


def configuration(asked: PlanQuestion) -> Configuration:
    found = evaluate(asked, asked.demand)
    assert isinstance(found, Configuration), found
    return found


def test_the_memory_is_the_one_of_synths_check() -> None:
    stage = load_stage(ROOT / "stages" / "dev.yaml")
    demand = demand_of(stage.config, None)
    assert demand is not None
    found = evaluate(question(), demand)
    assert isinstance(found, Configuration)
    assert found.memory == plan_of(demand)


@pytest.mark.parametrize("slots", [50, 64])
def test_what_synth_refuses_does_not_fit(slots: int) -> None:
    stage = load_stage(ROOT / "stages" / "dev.yaml")
    engine = stage.config.engine.model_copy(
        update={"name": "vllm", "max_active_adapters": slots, "max_adapter_rank": 16}
    )
    config = stage.config.model_copy(update={"engine": engine})
    demand = demand_of(config, None)
    assert demand is not None
    found = evaluate(question(), demand)
    assert isinstance(found, Misfit) is (memory_refusal(config, None) is not None) is (slots == 64)
    assert not isinstance(found, Misfit) or "GiB of each GPU are missing" in found.reason


def test_limits_that_bind() -> None:
    short, long = (
        configuration(question(slots=8, shares=uniform(8), tokens=tokens))
        for tokens in ((60, 64), (2000, 500))
    )
    assert (short.bound.limit, short.bound.batch) == ("max_concurrent_requests", 128)
    assert long.bound.limit == "KV cache"
    assert configuration(question(slots=8)).bound.limit == "slots and popularity"
    few = configuration(question(slots=8, shares=uniform(8), load=Load(concurrency=20)))
    assert (few.bound.limit, few.in_flight) == ("requests in flight", 20)


def test_a_slo_bounds_the_batch_by_each_latency() -> None:
    free = configuration(question(slots=8, shares=uniform(8)))
    for slo in ("itl=60ms", "ttft=160ms", "e2e=6s"):
        found = configuration(question(slots=8, shares=uniform(8), slo=slo))
        assert found.bound.limit == "SLO", slo
        assert found.bound.batch < free.bound.batch
    assert configuration(question(slots=8, shares=uniform(8), slo="itl=60ms")).step_s.mid <= 0.06
    assert configuration(question(slots=8, shares=uniform(8), slo="e2e=6s")).latency_s.mid <= 6.01
    assert configuration(question(slots=8, shares=uniform(8), slo="e2e=600s")) == free
    refused = question(slo="itl=1ms")
    assert evaluate(refused, refused.demand) == Misfit(
        refused.demand, "a single request is slower than the SLO"
    )


def test_requests_that_wait_for_a_slot_are_part_of_the_latency() -> None:
    found = configuration(question(slots=8))
    assert found.in_flight > 3 * found.bound.batch
    assert found.latency_s.mid == pytest.approx(found.in_flight / found.requests_per_s.mid)


def test_swaps_cost_throughput() -> None:
    asked = question(slots=16, shares=zipf(500, 1.0))
    found = configuration(asked)
    assert found.miss_rate == miss_rate(asked.traffic.shares, 16)
    assert found.swaps_per_s == pytest.approx(found.miss_rate * found.requests_per_s.mid)
    assert found.requests_per_s.mid < found.bound.batch / found.step_s.mid / 128


def test_costs_follow_from_the_price_and_the_utilization() -> None:
    full, used = configuration(question()), configuration(replace(question(), utilization=0.5))
    assert full.usd_per_million is not None
    assert used.usd_per_million is not None
    assert full.usd_per_thousand is not None
    hour = question().instance_hour("ml.g5.xlarge")
    assert hour is not None
    assert full.usd_per_million.mid == pytest.approx(hour / 3600 / full.output_tokens_per_s.mid * 1e6)
    assert used.usd_per_million.mid == pytest.approx(2 * full.usd_per_million.mid)
    assert full.usd_per_thousand.mid == pytest.approx(full.usd_per_million.mid * 128 / 1000)
    assert full.usd_per_million.slowest > full.usd_per_million.mid > full.usd_per_million.fastest
    unpriced = configuration(question(instance=INSTANCE_TYPES["ml.p5.4xlarge"]))
    assert unpriced.usd_per_million is None
    assert unpriced.usd_per_thousand is None


@given(st.floats(0.1, 200), st.floats(0.2, 1))
def test_a_fleet_carries_the_rate(rate: float, utilization: float) -> None:
    found = configuration(replace(question(load=Load(rate=rate)), utilization=utilization))
    fleet = found.fleet
    assert fleet is not None
    capacity = found.requests_per_s.mid * utilization
    assert fleet.instances * capacity >= rate * (1 - 1e-9)
    assert (fleet.instances - 1) * capacity < rate
    # Little's law.
    assert fleet.in_flight <= found.bound.batch
    assert fleet.in_flight <= rate / fleet.instances * fleet.latency_s + 1e-9


def test_measurements_count_for_their_gpu() -> None:
    measured = replace(question(), measurements=Measurements(scales=Scales(2.0, 2.0, 2.0)))
    assert configuration(measured).step_s.mid == pytest.approx(2 * configuration(question()).step_s.mid)
    elsewhere = replace(measured.demand, instance=INSTANCE_TYPES["ml.g6e.xlarge"])
    assert evaluate(measured, elsewhere) == evaluate(question(), elsewhere)


def test_the_engine_has_no_more_requests_than_the_gateway_lets_through() -> None:
    """More of them would have more adapters in common, and a larger batch."""
    few, many = (configuration(question(slots=8, load=Load(concurrency=n))) for n in (128, 10**9))
    assert many.bound == few.bound
    assert many.latency_s.mid > 1000 * few.latency_s.mid
