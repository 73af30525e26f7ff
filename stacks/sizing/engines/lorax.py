"""Memory and hardware of LoRAX 0.12.1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from adapters.engines.lorax import PREFILL_MARGIN
from stacks.sizing.demand import Demand
from stacks.sizing.engines.memory import AdapterMemory, EngineMemory, LargestStep, LogLines
from stacks.sizing.memory_parts import GIB, HALF, adapter_bytes

_FP8 = (8, 9)


class LoraxMemory(EngineMemory):
    """A share of each GPU's memory is kept for adapters."""

    def adapters(self, demand: Demand) -> AdapterMemory:
        """Take the share of all the memory, on each GPU; an adapter's whole file counts against it."""
        reserved = int(demand.adapter_memory_fraction * demand.instance.gpu_gib * GIB)
        largest = adapter_bytes(
            demand.shape, demand.max_adapter_rank, demand.adapter_target_modules, demand.number_bytes
        )
        resident = min(demand.max_active_adapters, reserved // largest) if largest else 0
        return AdapterMemory(reserved, resident, f"{demand.adapter_memory_fraction * 100:g}% of the memory")

    def host_slots(self, demand: Demand) -> int:
        """None, see `host_adapters`."""
        return 0

    def host_adapters(self, demand: Demand) -> int:
        """None: an adapter that leaves the GPU is read from its file again (`utils/adapter.py`)."""
        return 0

    def graphs(self, demand: Demand) -> tuple[int, int]:
        """None: `COMPILE` stays off."""
        return 0, 0

    def largest_step(self, demand: Demand) -> LargestStep:
        """Take a prefill of `max_input_tokens` + 50 tokens with all logits, in 16 bits twice and in 32."""
        tokens = demand.max_input_tokens + PREFILL_MARGIN
        return LargestStep(tokens=tokens, rows=tokens, logit_bytes=2 * HALF + 4)

    def adapter_remedies(self, demand: Demand, enough: Callable[[Demand], bool]) -> Iterator[str]:
        """Try other shares for adapters, the nearest first."""
        # Both ways: too small for one adapter, or too large for the rest.
        now = demand.adapter_memory_fraction
        for share in sorted((percent / 100 for percent in range(1, 60)), key=lambda share: abs(share - now)):
            if enough(replace(demand, adapter_memory_fraction=share)):
                yield f"engine.adapter_memory_fraction: {share:g}"
                return


MEMORY = LoraxMemory(
    # Its Dockerfile starts from nvidia/cuda:12.4.0.
    cuda=(12, 4),
    # Its kernels are compiled for 8.0 and later, by a CUDA that does not know 10.0.
    oldest_gpu=(8, 0),
    newer_gpus=(10, 0),
    native_only={"fp8": _FP8, "fp8-kv": _FP8},
    usable_share=1.0,
    # Of what is left after its warm-up (`MEMORY_WIGGLE_ROOM`).
    kv_share=0.95,
    # It warms up with two requests.
    kv_sequences=2,
    halved_kv=frozenset({"fp8-kv"}),
    # `utils/state.py`, BLOCK_SIZE without flashinfer.
    block_tokens=16,
    copies_kv_heads=False,
    adapter_key="adapter_memory_fraction",
    quantization="bitsandbytes-nf4",
    # `warmup` of models/flash_causal_lm.py. What it logs of free memory includes the context of CUDA.
    log=LogLines(
        kv_tokens=r"num kv blocks: \d+, num kv tokens: (\d+)",
        loaded_gib=None,
        kv_gib=None,
        graphs_gib=None,
    ),
)
