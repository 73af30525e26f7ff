"""A plan as plain text. Figures are computed; others are marked as measured or assumed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from loraserve.plan.configuration import ByLoraCost, Configuration, Misfit
from loraserve.plan.exchange import exchange_sentence, verdict_sentence
from loraserve.plan.planning import Plan
from loraserve.plan.question import PlanQuestion
from loraserve.plan.stage_yaml import stage_yaml
from stacks.sizing.gpu_memory import MemoryPlan
from stacks.sizing.memory_parts import GIB

#: Characters of the memory bar.
_BAR = 60
#: Between two columns.
_GAP = "  "
_HEADER = (
    "slots", "KV tokens", "batch", "limit", "B*", "out tok/s low–mid–high", "TTFT ms", "ITL ms", "swapped",
    "$/1M out", "$/1k req",
)  # fmt: skip


def plan_text(plan: Plan, *, width: int = 110) -> str:
    """Return the plan, its sentences and tables broken at `width`."""
    return "\n".join(_lines(plan, max(width, 60))) + "\n"


def _lines(plan: Plan, width: int) -> Iterator[str]:
    question, now = plan.question, plan.now
    yield from _wrapped(_title(question), width)
    yield from _wrapped(_origins(question), width)
    yield ""
    if isinstance(now, Misfit):
        yield from _wrapped(f"{_configuration(now)}: refused: {now.reason}", width)
    else:
        yield from _memory(now.memory, width)
        yield from _wrapped(_limits(now), width)
        if now.fleet is not None:
            yield from _wrapped(_fleet(question, now), width)
    for table in plan.tables:
        yield ""
        yield f"Rank {table.rank}, {_load_text(question)}:"
        yield from _columns([_HEADER, *(_row(row) for row in table.rows)], width, keys=1)
    yield ""
    yield from _wrapped(exchange_sentence(question, question.demand, plan.price), width)
    yield from _wrapped(verdict_sentence(question, now, list(plan.tables[0].rows)), width)
    if plan.instances:
        yield ""
        yield "Instance types, the cheapest first:"
        header = ("instance", "GPUs", *_HEADER)
        rows = [header, *((*_place(each), *_row(each)) for each in plan.instances)]
        yield from _columns(rows, width, keys=3)
        if any(each.demand.tensor_parallel > 1 for each in plan.instances):
            yield from _wrapped(
                "Traffic between GPUs that share the model is not in the figures: theirs are upper bounds.",
                width,
            )
    yield ""
    yield from _changes(plan, width)
    if plan.chosen is not None:
        yield ""
        yield f"Stage file, with {_count(plan.chosen.slots, 'slot')}:"
        yield textwrap.indent(stage_yaml(question, plan.chosen.demand).rstrip(), "  ")


def _title(question: PlanQuestion) -> str:
    demand, traffic = question.demand, question.traffic
    gpus = f"{demand.tensor_parallel} × " if demand.tensor_parallel > 1 else ""
    return (
        f"{question.model} with {demand.rules.title} {demand.rules.version} on {demand.instance.name} "
        f"({gpus}{demand.instance.gpu}, {demand.instance.gpu_gib:g} GiB). Assumed: "
        f"{traffic.input_tokens:,.0f} input and {traffic.output_tokens:,.0f} output tokens, "
        f"{_count(question.adapters, 'adapter')}{_skew(question)}, {question.utilization:.0%} utilization of "
        "what is paid for."
    )


def _skew(question: PlanQuestion) -> str:
    first = max(question.traffic.shares, default=0)
    return f", the most popular with {first:.0%} of the requests" if question.adapters > 1 else ""


def _origins(question: PlanQuestion) -> str:
    memory = "measured (the engine's log)" if question.measurements.memory else "assumed (estimates)"
    speed = "computed, with a cost of LoRA that is assumed: low–mid–high"
    if question.measurements.scales.measured:
        scale = question.measurements.scales.mid
        speed = f"computed, times what the load test measured ({scale:.2f} of the computed step)"
    return (
        f"Figures are computed unless said otherwise. Memory of the engine itself: {memory}. Times and "
        f"throughput: {speed}. Prices: assumed, on demand, {question.region}, {question.prices.date}."
    )


def _memory(memory: MemoryPlan, width: int) -> Iterator[str]:
    beside = "measured" if memory.measured else "assumed"
    parts = [
        ("weights", "█", memory.weights, ""),
        ("engine", "▓", memory.overhead, f" ({beside})"),
        ("CUDA graphs", "▓", memory.graphs, f"{_up_to(memory)} ({beside})"),
        ("largest step", "▓", memory.activations, " (assumed)"),
        ("adapters", "▒", memory.adapters.reserved, f" ({memory.adapters.text})"),
        ("KV cache", "░", memory.kv_tokens * memory.kv_per_token, ""),
    ]
    total = memory.demand.instance.gpu_gib * GIB
    bar, done = "", 0.0
    for _, sign, size, _ in parts:
        done += max(size, 0)
        bar += sign * (round(_BAR * done / total) - len(bar))
    yield f"GPU memory  {bar.ljust(_BAR, '·')}  {memory.verdict}"
    listed = ", ".join(f"{name} {size / GIB:.2f}{note}" for name, _, size, note in parts if size)
    share = ""
    if memory.available < int(total):
        share = f"; {memory.available / GIB:.2f} of {total / GIB:.2f} are the engine's"
    yield from _wrapped(f"GiB: {listed}{share}.", width)
    least = ""
    if memory.kv_tokens_least < memory.kv_tokens:
        least = f" ({memory.kv_tokens_least:,} if CUDA graphs take the most)"
    host, in_host = memory.demand.instance.memory_gib, memory.engine.host_slots(memory.demand)
    yield from _wrapped(
        f"KV cache: {memory.kv_tokens:,} tokens{least}, {memory.kv_blocks:,} blocks of "
        f"{memory.engine.block_tokens}. Host memory for {in_host} adapters: "
        f"{memory.host_adapters / GIB:.1f} of {host} GiB.",
        width,
    )


def _up_to(memory: MemoryPlan) -> str:
    return f" to {memory.graphs_most / GIB:.2f}" if memory.graphs_most > memory.graphs else ""


def _limits(found: Configuration) -> str:
    finite = [limit for limit in found.limits if math.isfinite(limit.batch)]
    known = ", ".join(f"{limit.limit} {limit.batch:,.0f}" for limit in finite)
    return (
        f"Batch by limit: {known}. {found.bound.limit} binds, with {found.bound.batch:.0f} sequences and "
        f"{found.different:.1f} different adapters; {_compared(found)}. With "
        f"{_count(found.in_flight, 'request')} in flight an answer takes {found.latency_s.mid:.1f} s, its "
        f"first token without waiting {found.first_token_s.mid * 1e3:.0f} ms."
    )


def _compared(found: Configuration) -> str:
    if math.isinf(found.balanced):
        return "reading binds at any batch, and a larger one costs little time"
    if found.bound.batch < found.balanced:
        return f"below B* = {_number(found.balanced)} reading binds, and a larger batch costs little time"
    return f"above B* = {_number(found.balanced)} computing binds, and a larger batch is slower in proportion"


def _fleet(question: PlanQuestion, found: Configuration) -> str:
    fleet, rate = found.fleet, question.load.rate
    if fleet is None or rate is None:
        return ""
    month = "" if fleet.usd_per_month is None else f", USD {fleet.usd_per_month:,.0f} a month"
    return (
        f"{rate:g} requests per second (assumed) take {_count(fleet.instances, 'instance')}{month}: about "
        f"{fleet.in_flight:.1f} requests in flight on each, {fleet.latency_s:.1f} s for an answer."
    )


def _changes(plan: Plan, width: int) -> Iterator[str]:
    if not plan.changes:
        better = "cheaper by more than 1 %" if isinstance(plan.now, Configuration) else "serve these requests"
        yield f"No single change makes it {better}."
        return
    yield "Best single changes:" if isinstance(plan.now, Configuration) else "Changes that make it possible:"
    for number, change in enumerate(plan.changes, 1):
        found = change.configuration
        needs = f"; needs {change.needs}" if change.needs else ""
        line = f"{change.setting}: {found.output_tokens_per_s.mid:,.0f} output tokens per second"
        if found.usd_per_million is not None:
            line += f", ${found.usd_per_million.mid:.2f} for 1M{_saved(plan.now, found)}"
        yield from _wrapped(f"{line}{needs}.", width, f"{number}. ")


def _saved(now: Configuration | Misfit, found: Configuration) -> str:
    if isinstance(now, Misfit) or now.usd_per_million is None or found.usd_per_million is None:
        return ""
    return f" ({found.usd_per_million.mid / now.usd_per_million.mid - 1:+.0%})"


def _row(found: Configuration | Misfit) -> tuple[str, ...]:
    if isinstance(found, Misfit):
        return (str(found.slots), found.reason)
    return (
        str(found.slots),
        f"{found.memory.kv_tokens:,}",
        f"{found.bound.batch:.0f}",
        found.bound.limit,
        _number(found.balanced),
        _three(found.output_tokens_per_s),
        f"{found.first_token_s.mid * 1e3:.0f}",
        f"{found.step_s.mid * 1e3:.0f}",
        f"{found.miss_rate:.1%}",
        "–" if found.usd_per_million is None else f"{found.usd_per_million.mid:.2f}",
        "–" if found.usd_per_thousand is None else f"{found.usd_per_thousand.mid:.3f}",
    )


def _place(found: Configuration) -> tuple[str, str]:
    demand = found.demand
    return demand.instance.name, f"{demand.tensor_parallel} of {demand.instance.gpus}"


def _configuration(found: Misfit) -> str:
    return f"{_count(found.slots, 'slot')} of rank {found.demand.max_adapter_rank}"


def _load_text(question: PlanQuestion) -> str:
    if question.load.concurrency is not None:
        return f"{question.load.concurrency} requests in flight"
    return "full load"


def _three(found: ByLoraCost) -> str:
    return f"{found.slowest:,.0f}–{found.mid:,.0f}–{found.fastest:,.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "–"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _columns(rows: Sequence[Sequence[str]], width: int, *, keys: int) -> Iterator[str]:
    """Align the columns; a row with fewer cells ends in a sentence, which has no column.

    Columns that do not fit in `width` follow below the others, beside the first `keys` columns once more.
    """
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    for number, columns in enumerate(_groups(widths, width, keys)):
        for row in rows:
            if len(row) == len(widths):
                yield _GAP.join(row[each].ljust(widths[each]) for each in columns).rstrip()
            elif number == 0:
                begin = "".join(cell.ljust(size) + _GAP for cell, size in zip(row[:-1], widths, strict=False))
                yield from _wrapped(row[-1], width, begin)


def _groups(widths: Sequence[int], width: int, keys: int) -> list[list[int]]:
    """Return the columns of each part of a table, which all begin with the first `keys`."""
    groups = [list(range(keys))]
    for column in range(keys, len(widths)):
        taken = sum(widths[each] + len(_GAP) for each in groups[-1])
        if taken + widths[column] > width and len(groups[-1]) > keys:
            groups.append(list(range(keys)))
        groups[-1].append(column)
    return groups


def _wrapped(line: str, width: int, begin: str = "") -> list[str]:
    return textwrap.wrap(
        line, width, initial_indent=begin, subsequent_indent=" " * len(begin), break_on_hyphens=False
    )
