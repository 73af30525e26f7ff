"""vLLM's worker on a processor without a GPU."""

from __future__ import annotations

from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker

from container.vllm import cpu_kernels
from container.vllm.worker import AdapterWorker


class CpuAdapterWorker(AdapterWorker, CPUWorker):
    """Named by `--worker-cls` for the CPU build."""

    def load_model(self, *arguments: Any, **more: Any) -> None:
        """Load the model, then correct the operations of its adapters."""
        super().load_model(*arguments, **more)
        cpu_kernels.use_in(self.model_runner.lora_manager._adapter_manager)
