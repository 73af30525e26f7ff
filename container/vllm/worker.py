"""Additions to vLLM's worker: it reports which adapters are resident, and pins some.

vLLM takes the class of its worker from `--worker-cls`; it differs by processor (`cpu_worker`, `gpu_worker`).
"""

from __future__ import annotations

from typing import Any

from container.vllm.resident_adapters import ResidentAdapters


class AdapterWorker:
    """Mixed in before a worker class of vLLM."""

    # The worker's own attributes.
    model_runner: Any
    vllm_config: Any
    device: Any

    def load_model(self, *arguments: Any, **more: Any) -> None:
        """Load the model, then take over its adapters."""
        super().load_model(*arguments, **more)  # type: ignore[misc]
        self.model_runner.lora_manager = ResidentAdapters(
            self.model_runner.lora_manager, self.vllm_config, self.device
        )

    def execute_model(self, scheduler_output: Any) -> Any:
        """Run a step; count the requests that begin with it."""
        began = [new.lora_request for new in scheduler_output.scheduled_new_reqs if new.lora_request]
        if began:
            self._resident.count_requests(began)
        return super().execute_model(scheduler_output)  # type: ignore[misc]

    def adapter_residency(self) -> dict[str, Any]:
        """Return `ResidentAdapters.report()`; called by `container.vllm.routes`."""
        return self._resident.report()

    def pin_adapter(self, adapter_id: int) -> bool:
        """Keep an adapter in slot and host memory; see `ResidentAdapters.pin_adapter`."""
        return self._resident.pin_adapter(adapter_id)

    @property
    def _resident(self) -> ResidentAdapters:
        manager: ResidentAdapters = self.model_runner.lora_manager
        return manager
