"""vLLM's worker on a processor without a GPU."""

from __future__ import annotations

from vllm.v1.worker.cpu_worker import CPUWorker

from container.vllm.worker import AdapterWorker


class CpuAdapterWorker(AdapterWorker, CPUWorker):
    """Named by `--worker-cls` for the CPU build."""
