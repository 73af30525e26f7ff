"""Pictures of a plan, as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loraserve.plan.configuration import COSTS, Configuration
from loraserve.plan.errors import PlanError
from loraserve.plan.question import Load, PlanQuestion
from loraserve.plan.search import by_slots, slot_counts, with_slots
from stacks.sizing.gpu_memory import plan_of
from stacks.sizing.slot_queue import queued_batch
from stacks.sizing.throughput import (
    LORA_MID,
    balanced_batch,
    batch_limits,
    output_tokens_per_s,
    step_work,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RANKS = (8, 16, 64)
#: Input and output tokens of short, middle and long requests.
LENGTHS = ((60, 64), (256, 128), (2000, 500))
_LARGEST_BATCH = 256


def write_plots(question: PlanQuestion, folder: Path) -> list[Path]:
    """Draw the four pictures into a folder, and return their paths; raises `PlanError`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow

    pictures = {
        "kv-by-slots": _kv_by_slots,
        "cost-by-slots": _cost_by_slots,
        "throughput-by-batch": _throughput_by_batch,
        "break-even": _break_even,
    }
    written = []
    for name, draw in pictures.items():
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        draw(question, axes)
        axes.grid(alpha=0.3)
        # One rank or length may be all that fits.
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        path = folder / f"{name}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=120)
        except OSError as error:
            raise PlanError(
                f"--plot: {path} cannot be written ({error.strerror}): name another folder"
            ) from None
        written.append(path)
    return written


def _kv_by_slots(question: PlanQuestion, axes: Axes) -> None:
    for rank in _ranks(question):
        points = list(_kv_tokens(question, rank))
        axes.plot(*zip(*points, strict=True), marker=".", label=f"rank {rank}")
    axes.set(xlabel="adapters in memory", ylabel="tokens of KV cache (computed)", ylim=(0, None))
    axes.set_title(_title(question))


def _cost_by_slots(question: PlanQuestion, axes: Axes) -> None:
    own = (question.traffic.input_tokens, question.traffic.output_tokens)
    for input_tokens, output_tokens in dict.fromkeys((*LENGTHS, own)):
        traffic = replace(question.traffic, input_tokens=input_tokens, output_tokens=output_tokens)
        other = replace(question, traffic=traffic, load=Load())
        rows = by_slots(other, question.demand, slot_counts(other, question.demand))
        points = [
            (row.slots, row.usd_per_million.mid)
            for row in rows
            if isinstance(row, Configuration) and row.usd_per_million is not None
        ]
        if points:
            label = f"{input_tokens:,.0f} + {output_tokens:,.0f} tokens"
            axes.plot(*zip(*points, strict=True), marker=".", label=label)
    axes.set(xlabel="adapters in memory", ylabel="USD for 1M output tokens (computed)", yscale="log")
    axes.set_title(_title(question))


def _throughput_by_batch(question: PlanQuestion, axes: Axes) -> None:
    memory = plan_of(question.demand, question.calibration(question.demand))
    if memory is None:
        return
    traffic, scales = question.traffic, question.scales(question.demand)
    batches = range(1, _LARGEST_BATCH + 1)
    work = {cost: step_work(memory, scales.of(cost)) for cost in COSTS}
    curves = {
        cost: [output_tokens_per_s(work[cost], traffic, batch, cost) for batch in batches] for cost in work
    }
    # After a calibration the curves may cross.
    low, high = ([bound(at) for at in zip(*curves.values(), strict=True)] for bound in (min, max))
    axes.fill_between(batches, low, high, alpha=0.2, label="cost of LoRA (assumed)")
    axes.plot(batches, curves[LORA_MID], label="middle")
    limits = batch_limits(
        work[LORA_MID],
        traffic,
        max_concurrent_requests=question.demand.max_num_seqs - question.other_seqs,
        kv_tokens=memory.kv_tokens,
    )
    marks: list[tuple[str, float]] = [(limit.limit, limit.batch) for limit in limits]
    marks.append(("B*: reading = computing", balanced_batch(work[LORA_MID], traffic)))
    for number, (name, batch) in enumerate(marks):
        if batch <= _LARGEST_BATCH:
            axes.axvline(batch, color=f"C{number + 2}", linestyle="--", label=f"{name}: {batch:.0f}")
    axes.set(xlabel="batch (sequences)", ylabel="output tokens per second (computed)", ylim=(0, None))
    axes.set_title(_title(question))


def _break_even(question: PlanQuestion, axes: Axes) -> None:
    total = question.traffic.total_tokens
    for rank in _ranks(question):
        points = [(slots, tokens // total) for slots, tokens in _kv_tokens(question, rank)]
        axes.plot(*zip(*points, strict=True), marker=".", label=f"KV cache, rank {rank}")
    counts = [slots for slots in slot_counts(question, question.demand) if slots < question.adapters]
    if counts:
        at_engine = question.demand.max_num_seqs - question.other_seqs
        batches = [queued_batch(question.traffic.shares, slots, at_engine) for slots in counts]
        axes.plot(counts, batches, color="black", linestyle="--", label="slots and popularity")
    axes.set(
        xlabel="adapters in memory", ylabel=f"sequences of {total:,.0f} tokens (computed)", ylim=(0, None)
    )
    axes.set_title(_title(question))


def _ranks(question: PlanQuestion) -> list[int]:
    """Return the ranks with which at least one adapter fits."""
    return [
        rank
        for rank in sorted({*RANKS, question.demand.max_adapter_rank})
        if next(_kv_tokens(question, rank), None) is not None
    ]


def _kv_tokens(question: PlanQuestion, rank: int) -> Iterator[tuple[int, int]]:
    """Yield number of slots and tokens of the KV cache, where both fit."""
    demand = replace(question.demand, max_adapter_rank=rank)
    for slots in slot_counts(question, demand):
        memory = plan_of(with_slots(demand, slots), question.calibration(demand))
        if memory is not None and memory.spare >= 0 and memory.adapters.resident >= slots:
            yield slots, memory.kv_tokens


def _title(question: PlanQuestion) -> str:
    demand = question.demand
    return f"{question.model.rpartition('/')[2]}, {demand.rules.title}, {demand.instance.name}"
