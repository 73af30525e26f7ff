"""GPU memory check of a stage."""

from __future__ import annotations

from pathlib import Path

from stacks.config.sections.engine import Engine, Gateway
from stacks.config.stage_config import StageConfig
from stacks.sizing.demand import Demand
from stacks.sizing.gpu_memory import plan_of, tensor_parallel_problem
from stacks.sizing.instances import INSTANCE_TYPES, InstanceType
from stacks.sizing.known_models import known_shape
from stacks.sizing.model_shape import ModelShape, shape_of_local_model
from stacks.sizing.remedies import memory_problem


def memory_refusal(config: StageConfig, model: Path | None) -> str | None:
    """Return why the stage cannot fit, in a sentence with the arithmetic; None if it may.

    `model` is the base model's directory, where it is local.
    """
    demand = demand_of(config, model)
    if demand is not None:
        problem = tensor_parallel_problem(
            demand.shape, demand.instance, demand.engine, demand.tensor_parallel
        )
        if problem is not None:
            return f"engine.tensor_parallel: {problem}"
    found = None if demand is None else plan_of(demand)
    if found is None or found.verdict != "does not fit":
        return None
    return f"endpoint.instance_type: {memory_problem(found)}"


def memory_warning(config: StageConfig, model: Path | None) -> str | None:
    """Return that it fits narrowly, or that it is not known whether it fits; None if it fits well."""
    demand = demand_of(config, model)
    found = None if demand is None else plan_of(demand)
    if found is None:
        return (
            f"whether {config.base_model.name} fits into the GPU memory of {config.endpoint.instance_type} "
            "is not checked: stacks/sizing/known_models.py or (a quantization's size) "
            f"adapters/engines/{config.engine.name}.py, does not know it: add it there, or try it on a "
            "separate stage first"
        )
    problem = memory_problem(found)
    return None if problem is None else f"endpoint.instance_type: {problem}"


def demand_of(config: StageConfig, model: Path | None) -> Demand | None:
    """Collect the inputs of the memory plan of a stage; None if the model is not known.

    `model` is the base model's directory, where it is local.
    """
    shape = known_shape(config.base_model.name) if model is None else shape_of_local_model(model)
    if shape is None:
        return None
    instance = INSTANCE_TYPES[config.endpoint.instance_type]
    return demand_of_settings(shape, instance, config.engine, config.gateway)


def demand_of_settings(shape: ModelShape, instance: InstanceType, engine: Engine, gateway: Gateway) -> Demand:
    """Collect the inputs of the memory plan of a model with these settings."""
    modules = engine.adapter_target_modules
    # More never arrive: the gateway queues clients' requests beyond the first number. It sends one for each
    # adapter that it loads, and one as a health check.
    sequences = engine.max_concurrent_requests + gateway.max_cold_loads + 1
    return Demand(
        shape=shape,
        instance=instance,
        engine=engine.name,
        dtype=engine.dtype,
        quantize=engine.quantize,
        tensor_parallel=engine.tensor_parallel,
        max_input_tokens=engine.max_input_tokens,
        max_total_tokens=engine.max_total_tokens,
        max_num_seqs=sequences,
        max_adapter_rank=engine.max_adapter_rank,
        max_active_adapters=engine.max_active_adapters,
        adapter_target_modules=None if modules is None else tuple(modules),
        adapter_memory_fraction=engine.adapter_memory_fraction,
    )
