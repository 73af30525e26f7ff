"""Cores of a measurement: one for the measured process, the others for everything else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from benchmarks.errors import BenchmarkFailed


@contextlib.contextmanager
def reserve_core() -> Iterator[set[int]]:
    """Pin this process and its future children to all cores but one; yield the reserved core."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise BenchmarkFailed("two cores are needed, one of them for the measured process alone")
    first = {min(cores)}
    os.sched_setaffinity(0, cores - first)
    try:
        yield first
    finally:
        os.sched_setaffinity(0, cores)
