"""The alarms of memory and disk."""

from __future__ import annotations

from stacks.observability.alarm import LASTING, REPEATED, Alarm, Thresholds
from stacks.observability.log_metrics import OUT_OF_MEMORY
from stacks.observability.metric import Source

GB = 10**9


def resource_alarms(source: Source, thresholds: Thresholds, gpus: int) -> list[Alarm]:
    """`gpus` are an instance's, 0 if it has none."""
    return [*_memory(source, thresholds, gpus), *_disk(source, thresholds)]


def _memory(source: Source, thresholds: Thresholds, gpus: int) -> list[Alarm]:
    less = "lower max_concurrent_requests, max_total_tokens or max_active_adapters in the stage."
    # SageMaker adds up the percentages of an instance's GPUs: four go up to 400.
    gpu = Alarm(
        "gpu-memory",
        source.instances("GPUMemoryUtilization", "Maximum"),
        thresholds.gpu_memory_percent * gpus,
        f"{thresholds.gpu_memory_percent:g} % of an instance's GPU memory in use for 10 minutes: the next "
        "long prompt may fail.",
        less,
        when=(10, 10),
    )
    log = Alarm(
        "out-of-memory",
        source.logged(OUT_OF_MEMORY),
        1,
        "The engine runs out of memory again and again.",
        less,
        when=REPEATED,
    )
    return [gpu, log] if gpus else [log]


def _disk(source: Source, thresholds: Thresholds) -> list[Alarm]:
    less = "lower adapter_cache_gb in the stage, or take a larger instance."
    return [
        Alarm(
            "disk",
            source.instances("DiskUtilization", "Maximum"),
            thresholds.disk_percent,
            f"{thresholds.disk_percent:g} % or more of an instance's disk is full.",
            less,
            when=LASTING,
        ),
        Alarm(
            "disk-free",
            source.gateway("DiskFreeBytes", "Minimum"),
            thresholds.free_disk_gb * GB,
            f"Less than {thresholds.free_disk_gb:g} GB are free where adapters are kept: loads may fail.",
            less,
            when=LASTING,
            below=True,
        ),
    ]
