"""Check of a stage's memory: that of the GPUs, and that of the host for adapters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stacks.config.sections.engine import Engine, Gateway
from stacks.config.stage_config import StageConfig
from stacks.sizing.demand import Demand
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.gpu_memory import plan_of, tensor_parallel_problem
from stacks.sizing.host_memory import left_for_adapters
from stacks.sizing.instances import INSTANCE_TYPES, InstanceType
from stacks.sizing.known_models import known_shape
from stacks.sizing.memory_parts import GIB
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


def host_memory_refusal(config: StageConfig, model: Path | None) -> str | None:
    """Return that the given number of adapters does not fit into the instance's memory; None if it may.

    A default is planned, and never refused: adapters of the largest rank alone would fill what it takes.
    """
    demand = None if config.engine.max_cpu_adapters is None else demand_of(config, model)
    if demand is None:
        return None
    instance, needed = demand.instance, MEMORY[demand.engine].host_adapters(demand)
    left = left_for_adapters(instance, demand.tensor_parallel)
    if needed <= left:
        return None
    default = MEMORY[demand.engine].host_slots(replace(demand, max_cpu_adapters=None))
    return (
        f"engine.max_cpu_adapters: {demand.max_cpu_adapters} adapters of rank {demand.max_adapter_rank} take "
        f"{needed / GIB:.1f} GiB, and the system and the engine leave {left / GIB:.1f} of the "
        f"{instance.memory_gib} GiB of {instance.name}: leave it out for {default}, or take a larger type"
    )


def planned_cpu_adapters(config: StageConfig) -> int | None:
    """Return `engine.max_cpu_adapters`, by default as many as the planned share of the memory takes.

    None for an engine without the key, and where the model's size is not known or the model is a local
    directory's: the container then keeps as many as the engine has slots.
    """
    engine = config.engine
    is_planned = engine.max_cpu_adapters is None and config.base_model.path is None
    demand = demand_of(config, None) if is_planned else None
    if demand is None or "max_cpu_adapters" in demand.rules.unused_settings:
        return engine.max_cpu_adapters
    return MEMORY[engine.name].host_slots(demand)


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
        max_cpu_adapters=engine.max_cpu_adapters,
        adapter_target_modules=None if modules is None else tuple(modules),
        adapter_memory_fraction=engine.adapter_memory_fraction,
    )
