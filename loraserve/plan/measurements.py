"""Measurements of a plan's configuration, read from files: an engine's log, a load test."""

from __future__ import annotations

from pathlib import Path

from loraserve.plan.calibration import Scales, read_service, scales
from loraserve.plan.errors import PlanError
from loraserve.plan.question import Measurements
from stacks.sizing.demand import Demand
from stacks.sizing.engine_log import calibration_of, read_engine_log
from stacks.sizing.gpu_memory import Calibration, MemoryPlan, plan_of
from stacks.sizing.throughput import Traffic, batch_limits, binding, step_work


def read_measurements(
    log: Path | None, run: Path | None, demand: Demand, other_seqs: int, traffic: Traffic
) -> Measurements:
    """Return what an engine's log and a load test say of a configuration; None: no such file.

    Raises `PlanError`, `LoadDocumentError` or `CalibrationError`.
    """
    return Measurements(
        memory=None if log is None else memory_of_log(log, demand),
        scales=Scales() if run is None else scales_of_run(run, demand, other_seqs, traffic),
    )


def memory_of_log(path: Path, demand: Demand) -> Calibration:
    """Return the memory that the log of an engine with these settings says; raises `PlanError`."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise PlanError(f"--engine-log: {path} cannot be read ({error}): give the engine's log") from None
    try:
        return calibration_of(_plan(demand), read_engine_log(text, demand.engine))
    except ValueError as error:
        raise PlanError(f"--engine-log: {path}: {error}") from None


def scales_of_run(path: Path, demand: Demand, other_seqs: int, traffic: Traffic) -> Scales:
    """Return the scales that the load test of an instance with these settings says.

    Raises `PlanError`, `LoadDocumentError` or `CalibrationError`.
    """
    measured = read_service(path, traffic.input_tokens)
    plan = _plan(demand)
    work = step_work(plan)
    limits = batch_limits(
        work,
        measured.traffic,
        max_concurrent_requests=demand.max_num_seqs - other_seqs,
        kv_tokens=plan.kv_tokens,
    )
    return scales(measured, work, max(1.0, binding(limits).batch))


def _plan(demand: Demand) -> MemoryPlan:
    try:
        plan = plan_of(demand)
    except ValueError as error:
        raise PlanError(f"--instance: {error}") from None
    if plan is None:
        raise PlanError(f"--quantize: the size of {demand.quantize} is not known: leave it out")
    return plan
