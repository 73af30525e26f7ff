"""vLLM's worker on a CUDA GPU."""

from __future__ import annotations

from vllm.v1.worker.gpu_worker import Worker

from container.vllm.worker import AdapterWorker


class GpuAdapterWorker(AdapterWorker, Worker):
    """Named by `--worker-cls` for the CUDA build."""
