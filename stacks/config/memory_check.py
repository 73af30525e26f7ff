"""Whether what a stage serves fits into the memory of its GPUs."""

from __future__ import annotations

from pathlib import Path

from stacks.config.stage_config import StageConfig
from stacks.sizing.gpu_memory import MemoryPlan, plan, tensor_parallel_problem
from stacks.sizing.instances import instance_type
from stacks.sizing.known_models import known_shape
from stacks.sizing.model_shape import ModelShape, shape_of_local_model
from stacks.sizing.remedies import memory_problem


def memory_refusal(config: StageConfig, model: Path | None) -> str | None:
    """Why it cannot fit, in a sentence with the arithmetic; None if it may.

    `model` is the base model's directory, where it is local.
    """
    shape, instance = _shape(config, model), instance_type(config.endpoint.instance_type)
    engine = config.engine
    if shape is not None and instance is not None:
        problem = tensor_parallel_problem(shape, instance, engine.name, engine.tensor_parallel)
        if problem is not None:
            return f"engine.tensor_parallel: {problem}"
    found = _plan(config, model)
    if found is None or found.verdict != "does not fit":
        return None
    return f"endpoint.instance_type: {memory_problem(found)}"


def memory_warning(config: StageConfig, model: Path | None) -> str | None:
    """That it fits narrowly, or that it is not known whether it fits; None if it fits well."""
    found = _plan(config, model)
    if found is None:
        return (
            f"whether {config.base_model.name} fits into the GPU memory of {config.endpoint.instance_type} "
            "is not checked: known_models.py, instances.py or memory_parts.py of stacks/sizing/ does not "
            "know the one, the other, or the quantization"
        )
    problem = memory_problem(found)
    return None if problem is None else f"endpoint.instance_type: {problem}"


def _shape(config: StageConfig, model: Path | None) -> ModelShape | None:
    return known_shape(config.base_model.name) if model is None else shape_of_local_model(model)


def _plan(config: StageConfig, model: Path | None) -> MemoryPlan | None:
    shape, instance = _shape(config, model), instance_type(config.endpoint.instance_type)
    if shape is None or instance is None:
        return None
    engine = config.engine
    return plan(
        shape=shape,
        instance=instance,
        engine=engine.name,
        dtype=engine.dtype,
        quantize=engine.quantize,
        tensor_parallel=engine.tensor_parallel,
        max_input_tokens=engine.max_input_tokens,
        max_total_tokens=engine.max_total_tokens,
        max_adapter_rank=engine.max_adapter_rank,
        max_active_adapters=engine.max_active_adapters,
        adapter_target_modules=engine.adapter_target_modules,
        adapter_memory_fraction=engine.adapter_memory_fraction,
    )
