"""The engine of the laptop, vLLM's CPU build, with one model, in this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.lora.request import LoRARequest
from vllm.model_executor.models import ModelRegistry

from tests.models.architectures import MAX_RANK
from tests.models.making import PROMPT
from tests.models.stand_ins import stand_in_for_the_kernel_of_experts, stand_in_for_torchvision


def _keep_imports_frozen() -> None:
    """Let the collector of garbage pass over the imported modules.

    vLLM collects nine times in each start and stop, and unfreezes all objects before: 2.8 s of 3.1.
    """
    gc.collect()
    gc.freeze()
    for name in ("freeze", "unfreeze"):
        setattr(gc, name, lambda: None)


_keep_imports_frozen()


class Engine:
    """A running engine."""

    def __init__(self, model: Path, architecture: str, arguments: Mapping[str, Any]) -> None:
        """Load the model, with slots for adapters; `arguments`: further ones of `vllm.LLM`, or other ones."""
        stand_in_for_torchvision()
        stand_in_for_the_kernel_of_experts()
        # vLLM would look at the class in a separate process, which takes 10 s.
        ModelRegistry.register_model(architecture, ModelRegistry.models[architecture].load_model_cls())
        settings: dict[str, Any] = {
            **{"max_lora_rank": MAX_RANK, "max_loras": 1, "max_model_len": 32, "max_num_seqs": 2},
            **{"max_num_batched_tokens": 32, "max_logprobs": -1, "dtype": "float32"},
            **{"skip_tokenizer_init": True, "enforce_eager": True, "disable_log_stats": True},
        }
        self._llm = LLM(str(model), enable_lora=True, **{**settings, **arguments})
        self._loaded: LoRARequest | None = None

    def load(self, adapter: Path) -> list[str]:
        """Load an adapter, and return its layers without a slot; raises what vLLM raises for it."""
        number = self._loaded.lora_int_id + 1 if self._loaded else 1
        self._loaded = LoRARequest(adapter.name, number, str(adapter))
        # As the server does. A request whose adapter fails to load would stay in the queue, and block it.
        self._llm.llm_engine.add_lora(self._loaded)

        def without_slot(worker: Any) -> list[str]:
            manager = worker.model_runner.lora_manager._adapter_manager
            return sorted(manager.get_adapter(number).loras.keys() - manager.modules.keys())

        (found,) = self._llm.collective_rpc(without_slot)
        return found

    def answer(self, *, adapted: bool) -> torch.Tensor:
        """Return the log probabilities of the token after `PROMPT`, `adapted` by the adapter loaded last."""
        (output,) = self._llm.generate(
            {"prompt_token_ids": list(PROMPT)},
            SamplingParams(max_tokens=1, temperature=0, logprobs=-1, detokenize=False),
            use_tqdm=False,
            lora_request=self._loaded if adapted else None,
        )
        (found,) = output.outputs[0].logprobs
        return torch.tensor([found[token].logprob for token in sorted(found)])

    def slot_bytes(self) -> int:
        """Return the size of all slots' tensors."""

        def allocated(worker: Any) -> int:
            modules = worker.model_runner.lora_manager._adapter_manager.modules.values()
            # A layer may be there by several names.
            layers = {id(module): module for module in modules}.values()
            tensors = [t for layer in layers for t in (*layer.lora_a_stacked, *layer.lora_b_stacked)]
            return sum(tensor.nbytes for tensor in tensors)

        (found,) = self._llm.collective_rpc(allocated)
        return int(found)

    def host_bytes(self) -> int:
        """Return the size of the loaded adapters in the host's memory."""

        def registered(worker: Any) -> int:
            manager = worker.model_runner.lora_manager._adapter_manager
            weights = [
                each
                for number in manager.list_adapters()
                for lora in manager.get_adapter(number).loras.values()
                for side in (lora.lora_a, lora.lora_b)
                for each in (side if isinstance(side, list) else [side])
                if each is not None
            ]
            return sum(tensor.nbytes for tensor in weights)

        (found,) = self._llm.collective_rpc(registered)
        return int(found)

    def stop(self) -> None:
        """Free the model."""
        self._llm.llm_engine.engine_core.shutdown()


@contextmanager
def started(model: Path, architecture: str, arguments: Mapping[str, Any]) -> Iterator[Engine]:
    """Start an engine, and at the end stop it, so that the process can start the next one."""
    try:
        engine = Engine(model, architecture, arguments)
        try:
            yield engine
        finally:
            engine.stop()
    finally:
        gc.collect()
        cleanup_dist_env_and_memory()
