"""The results as tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gpu.measure import SlotMemory, StepTimes


def slot_table(rows: Sequence[SlotMemory]) -> str:
    """Return the table of the slots' memory, in GiB."""
    lines = [
        "| rank | slots | computed, GiB | measured, GiB | measured in the allocator, GiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.rank} | {row.slots} | {_gib(row.computed)} | {_gib(row.tensors)} | {_gib(row.allocated)} |"
        for row in rows
    ]
    return "\n".join(lines)


def step_table(times: StepTimes) -> str:
    """Return the table of the decode step's time, and the constants fitted to it."""
    head = f"{times.sequences} sequences of {times.context} tokens, rank {times.rank}, {times.slots} slots"
    lines = [
        f"{head}, kernels {times.kernels}, {times.launches} launches a step:",
        "",
        "| different adapters | step, ms | more than without LoRA, ms | ratio |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {step.different or 'none'} | {step.step_ms:.2f} | {step.lora_ms:.2f} | {step.ratio:.3f} |"
        for step in times.steps
    ]
    lines += [
        "",
        f"Fitted: {times.launch_us:.1f} µs a launch, {times.adapter_ms:.3f} ms a different adapter.",
    ]
    return "\n".join(lines)


def _gib(count: int | None) -> str:
    return "—" if count is None else f"{count / 2**30:.3f}"
