"""Questions of the planner's tests."""

from dataclasses import replace
from typing import Any

from loraserve.load.slo import LatencySlo, parse_slo
from loraserve.plan.basis import basis_of_model, with_settings, with_traffic
from loraserve.plan.question import Load, PlanQuestion
from stacks.sizing.cost_estimate import load_prices
from stacks.sizing.popularity import Shares, uniform
from stacks.sizing.throughput import Traffic

MISTRAL = "mistralai/Mistral-7B-Instruct-v0.1"


def question(
    *,
    engine: str = "vllm",
    rank: int = 16,
    slots: int = 50,
    tokens: tuple[int, int] = (256, 128),
    shares: Shares | None = None,
    slo: str = "",
    load: Load | None = None,
    **demand: Any,
) -> PlanQuestion:
    """Mistral-7B on ml.g5.xlarge at full load, with 50 adapters that are equally popular."""
    traffic = Traffic(
        input_tokens=tokens[0], output_tokens=tokens[1], shares=uniform(50) if shares is None else shares
    )
    basis = basis_of_model(MISTRAL, "ml.g5.xlarge", engine)
    settings = with_settings(basis.demand, engine=None, quantize=None, modules=None)
    settings = with_traffic(settings, traffic, rank=rank, slots=[slots], of_stage=False)
    return PlanQuestion(
        model=MISTRAL,
        demand=replace(settings, **demand),
        other_seqs=basis.other_seqs,
        traffic=traffic,
        slo=parse_slo(slo) if slo else LatencySlo(),
        load=load or Load(),
        utilization=1,
        region=basis.region,
        prices=load_prices(),
    )
