"""Memory and hardware of vLLM 0.32.0."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from adapters.engines.vllm import RANKS, slot_rank
from stacks.sizing.demand import Demand
from stacks.sizing.engines.memory import AdapterMemory, EngineMemory, LargestStep
from stacks.sizing.memory_parts import HALF, kv_heads_per_gpu
from stacks.sizing.model_shape import ModelShape

#: Architectures with slots for embeddings and head, too (`embedding_modules`).
_EMBEDDING_SLOTS = frozenset(
    {"LlamaForCausalLM", "MixtralForCausalLM", "Phi3ForCausalLM", "Qwen3ForCausalLM"}
)
_QKV = frozenset({"q_proj", "k_proj", "v_proj", "qkv_proj"})
_GATE_UP = frozenset({"gate_proj", "up_proj", "gate_up_proj"})
_EXPERTS = frozenset({"experts", "w1", "w2", "w3"})


class VllmMemory(EngineMemory):
    """Slots for `max_active_adapters` adapters of the largest rank are allocated at the start."""

    def adapters(self, demand: Demand) -> AdapterMemory:
        """Multiply the size of a slot by their number."""
        modules, slots = demand.adapter_target_modules, demand.max_active_adapters
        rank = slot_rank(demand.max_adapter_rank) or demand.max_adapter_rank
        where = "all modules" if modules is None else ", ".join(modules)
        return AdapterMemory(
            reserved=slots * slot_bytes(demand.shape, rank, modules, demand.tensor_parallel),
            resident=slots,
            text=f"{slots} slot{'s' if slots > 1 else ''} of rank {rank} on {where}",
        )

    def largest_step(self, demand: Demand) -> LargestStep:
        """Take a prefill of 2,048 tokens (8,192 on GPUs of 70 GiB and more, but the A100).

        It takes a row of logits for each of about 128 sequences, in 16 bits and, sorted, in 32 bits.
        """
        large = demand.instance.gpu_gib >= 70 and demand.instance.gpu != "A100"
        return LargestStep(tokens=8192 if large else 2048, rows=128, logit_bytes=HALF + 4 * 4)

    def adapter_remedies(self, demand: Demand, enough: Callable[[Demand], bool]) -> Iterator[str]:
        """Try fewer slots, lower ranks, fewer modules."""
        if most := _most_adapters(demand, enough):
            yield f"engine.max_active_adapters: {most}"
        lower = (rank for rank in reversed(RANKS) if 1 < rank < demand.max_adapter_rank)
        for rank in lower:
            if enough(replace(demand, max_adapter_rank=rank)):
                yield f"engine.max_adapter_rank: {rank}"
                break
        few = replace(demand, adapter_target_modules=("q_proj", "v_proj"))
        if demand.adapter_target_modules is None and enough(few):
            yield "engine.adapter_target_modules: [q_proj, v_proj]"


def slot_bytes(
    shape: ModelShape, rank: int, modules: Collection[str] | None, tensor_parallel: int = 1
) -> int:
    """Compute the size of a slot on one GPU, for adapters of up to `rank` on `modules` (None: on all).

    As vLLM 0.32.0 allocates: an A and a B of the full rank for each layer; of layers that vLLM packs into
    one (q, k, v; gate, up) for all where `modules` names one. Where a layer is split by output only B is
    shared out among the GPUs, where it is split by input only A; embeddings and head are on each GPU.
    """
    q, kv = shape.attention_heads * shape.head_dim, kv_heads_per_gpu(shape, tensor_parallel) * shape.head_dim
    hidden, gpus = shape.hidden_size, tensor_parallel
    intermediate = shape.intermediate_size // gpus
    # Phi-3's files hold these layers packed, and an adapter has one A for them.
    split = shape.architecture != "Phi3ForCausalLM"

    def wanted(names: frozenset[str]) -> bool:
        return modules is None or not names.isdisjoint(modules)

    layer = 0
    if wanted(_QKV):
        layer += (3 if split else 1) * hidden + q // gpus + 2 * kv
    if wanted(frozenset({"o_proj"})):
        layer += q // gpus + hidden
    if shape.experts > 1:
        if wanted(_EXPERTS):
            layer += shape.experts * (3 * hidden + 3 * intermediate)
        if wanted(frozenset({"gate"})):
            layer += hidden + shape.experts
    else:
        if wanted(_GATE_UP):
            layer += (2 if split else 1) * hidden + 2 * intermediate
        if wanted(frozenset({"down_proj"})):
            layer += intermediate + hidden
    ends = ("embed_tokens", "lm_head")
    if modules is None:
        count = len(ends) if shape.architecture in _EMBEDDING_SLOTS else 0
    else:
        count = sum(name in modules for name in ends)
    return rank * HALF * (shape.layers * layer + count * (shape.vocab_size + hidden))


def _most_adapters(demand: Demand, enough: Callable[[Demand], bool]) -> int:
    """Search the largest number below the demand's that is enough; 0 if not even one is."""
    low, high = 0, demand.max_active_adapters
    while high - low > 1:
        middle = (low + high) // 2
        if enough(replace(demand, max_active_adapters=middle)):
            low = middle
        else:
            high = middle
    return low


MEMORY = VllmMemory(
    # Its VLLM_MAIN_CUDA_VERSION, the one that vllm/vllm-openai:v0.32.0 is built for.
    cuda=(13, 0),
    oldest_gpu=None,
    newer_gpus=None,
    native_only={},
    # `gpu_memory_utilization`.
    usable_share=0.92,
    kv_share=1.0,
    kv_sequences=1,
    halved_kv=frozenset(),
    captures_graphs=True,
    copies_kv_heads=True,
    adapter_key="max_active_adapters",
    # Also where a GPU has no FP8 (Marlin kernels).
    quantization="fp8_per_tensor",
)
