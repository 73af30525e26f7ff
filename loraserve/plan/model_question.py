"""The planner's question about a model with the defaults of a stage file."""

from __future__ import annotations

from loraserve.load.slo import LatencySlo
from loraserve.plan.basis import start, with_settings, with_traffic
from loraserve.plan.question import DEFAULT_ADAPTERS, Load, PlanQuestion
from loraserve.plan.traffic import shares_of
from stacks.config.sections.engine import Gateway
from stacks.sizing.cost_estimate import load_prices
from stacks.sizing.throughput import Traffic


def model_question(
    model: str,
    *,
    engine: str,
    tokens: tuple[int, int],
    rank: int = 16,
    adapters: int = DEFAULT_ADAPTERS,
    popularity: str = "uniform",
    instance: str | None = None,
    utilization: float = 0.7,
) -> PlanQuestion:
    """Return the question of a model with many adapters on one instance that has all the work it can do.

    Args:
        model: name on the Hub, of a model whose shape is known, or a directory.
        engine: `lorax` or `vllm`.
        tokens: input and output tokens of a request.
        rank: the adapters' highest rank.
        adapters: number of different adapters.
        popularity: `uniform`, `zipf:S` or `power:ALPHA`.
        instance: an instance type of SageMaker; None: a stage file's default.
        utilization: share of the throughput that is used, on average over the hours that are paid for.

    Raises:
        PlanError: an unknown model, engine or instance type.
    """
    basis = start(None, model, instance)
    input_tokens, output_tokens = tokens
    shares = shares_of(adapters, popularity)
    traffic = Traffic(input_tokens=input_tokens, output_tokens=output_tokens, shares=shares)
    demand = with_settings(basis.demand, engine=engine, quantize=None, modules=None)
    return PlanQuestion(
        model=basis.model,
        demand=with_traffic(demand, traffic, rank=rank, slots=(), of_stage=False),
        other_seqs=basis.other_seqs,
        traffic=traffic,
        slo=LatencySlo(e2e_s=Gateway().answer_seconds),
        load=Load(),
        utilization=utilization,
        region=basis.region,
        prices=load_prices(),
        sections=basis.sections,
    )
