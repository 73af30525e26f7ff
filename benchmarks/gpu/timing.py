"""Time of a function on a GPU or a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Step = Callable[[], object]


def median_ms(steps: Mapping[str, Step], *, device: str, rounds: int, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of each step. The steps alternate, every second round in reverse.

    On a GPU a step is replayed from a CUDA graph, as the engines do.
    """
    ready = {name: _prepared(step, device) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(ready) if number % 2 == 0 else reversed(list(ready)):
            times[name].append(_milliseconds(ready[name], device, repeats))
    return {name: median(measured) for name, measured in times.items()}


def _prepared(step: Step, device: str) -> Step:
    if device != "cuda":
        step()
        return step
    # Warm-up outside the capture, on another stream: libraries allocate and choose kernels there.
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _milliseconds(step: Step, device: str, repeats: int) -> float:
    if device != "cuda":
        began = time.perf_counter()
        for _ in range(repeats):
            step()
        return (time.perf_counter() - began) * 1000 / repeats
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(repeats):
        step()
    end.record()
    end.synchronize()
    elapsed: float = start.elapsed_time(end)
    return elapsed / repeats
