"""The derived target of autoscaling."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stacks.config.memory_check import demand_of
from stacks.config.scaling_target import scaling_target
from stacks.config.stage_config import StageConfig
from stacks.sizing.gpu_memory import plan_of
from stacks.sizing.popularity import uniform
from stacks.sizing.throughput import Traffic, latency_s, step_work


def config(**autoscaling: Any) -> StageConfig:
    model = {"name": "mistralai/Mistral-7B-Instruct-v0.1", "revision": "0" * 40}
    return StageConfig.model_validate({"base_model": model, "adapters": "", "autoscaling": autoscaling})


def target(**autoscaling: Any) -> float:
    return scaling_target(config(**autoscaling), None).value


def latency(in_flight: int, traffic: tuple[int, int] = (60, 64)) -> float:
    """The plan's latency on the article's instance, below every other limit."""
    demand = demand_of(config(), None)
    assert demand is not None
    plan = plan_of(demand)
    assert plan is not None
    shares = uniform(plan.adapters.resident)
    typical = Traffic(input_tokens=traffic[0], output_tokens=traffic[1], shares=shares)
    return latency_s(step_work(plan), typical, in_flight, in_flight)


def test_it_is_a_share_of_the_requests_that_are_answered_in_time() -> None:
    found = target(slo_seconds=4)
    assert latency(math.floor(found / 0.4)) <= 4 < latency(math.ceil((found + 1) / 0.4))


def test_without_an_slo_it_is_twice_the_time_of_a_request_that_is_alone() -> None:
    assert target() == target(slo_seconds=2 * latency(1))


def test_it_never_exceeds_what_runs_at_once() -> None:
    assert target(slo_seconds=1000) == math.floor(0.4 * config().engine.max_concurrent_requests)


def test_long_requests_have_a_lower_one() -> None:
    long = target(slo_seconds=40, typical_input_tokens=2000, typical_output_tokens=500)
    assert 0 < long < target(slo_seconds=40)


def test_requests_a_minute_are_those_of_the_same_load() -> None:
    in_flight = target(slo_seconds=4)
    by_minute = target(slo_seconds=4, metric="invocations_per_instance")
    assert by_minute == pytest.approx(60 * in_flight / latency(round(in_flight)), rel=0.03)


def test_a_target_in_the_file_is_taken_as_it_is() -> None:
    found = scaling_target(config(target=7.5, slo_seconds=0.1), None)
    assert (found.value, found.basis) == (7.5, "scales at 7.5 requests in flight per instance (given)")


def test_the_basis_has_the_numbers() -> None:
    basis = scaling_target(config(slo_seconds=4), None).basis
    assert "computed: 0.4 of the " in basis
    assert "within 4 s, at 60 + 64 tokens each" in basis
