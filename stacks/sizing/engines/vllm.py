"""Memory and hardware of vLLM 0.32.0."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from adapters.engines.vllm import RANKS, slot_rank
from stacks.sizing.demand import Demand
from stacks.sizing.engines.memory import AdapterMemory, EngineMemory, LargestStep, LogLines
from stacks.sizing.host_memory import planned_for_adapters
from stacks.sizing.memory_parts import GIB, HALF, adapter_bytes, kv_heads_per_gpu
from stacks.sizing.model_shape import ModelShape

#: Architectures with slots for embeddings and head, too (`embedding_modules`).
_EMBEDDING_SLOTS = frozenset(
    {"LlamaForCausalLM", "MixtralForCausalLM", "Phi3ForCausalLM", "Qwen3ForCausalLM"}
)
#: Architectures whose files hold q, k and v, and gate and up, as one layer each: an adapter has one A for it.
_PACKED = frozenset({"Phi3ForCausalLM"})
_QKV = frozenset({"q_proj", "k_proj", "v_proj", "qkv_proj"})
_GATE_UP = frozenset({"gate_proj", "up_proj", "gate_up_proj"})
_EXPERTS = frozenset({"experts", "w1", "w2", "w3"})
#: GiB of CUDA graphs at `_GRAPHS` batch sizes, at least and at most, without adapters and with them: with
#: them vLLM captures each size twice (`cudagraph_specialize_lora`). Measured for 67 sizes, vLLM 0.8.5, H100:
#: 1.69 and 3.32 (Llama-3.1-8B), 1.53 and 2.95 (Qwen2.5-7B); pull request 25914: 1.62 and 2.38; pull request
#: 40044: 0.67 kept back, 1.68 taken.
_GRAPHS_GIB = {False: (0.6, 0.6), True: (1.2, 1.5)}
#: Batch sizes that are captured for 131 sequences, the container's default.
_GRAPHS = 35
#: The container takes no higher `MAX_CPU_ADAPTERS`.
MOST_HOST_ADAPTERS = 100_000


class VllmMemory(EngineMemory):
    """Slots for `max_active_adapters` adapters of the largest rank are allocated at the start."""

    def adapters(self, demand: Demand) -> AdapterMemory:
        """Multiply the size of a slot by their number."""
        modules, slots = demand.adapter_target_modules, demand.max_active_adapters
        rank = slot_rank(demand.max_adapter_rank) or demand.max_adapter_rank
        where = "all modules" if modules is None else ", ".join(modules)
        return AdapterMemory(
            reserved=slots
            * slot_bytes(demand.shape, rank, modules, demand.tensor_parallel, demand.number_bytes),
            resident=slots,
            text=f"{slots} slot{'' if slots == 1 else 's'} of rank {rank} on {where}",
        )

    def host_slots(self, demand: Demand) -> int:
        """Return `max_cpu_loras`: those that fit into the planned memory, and never fewer than slots.

        vLLM refuses fewer, because an adapter in a slot is in the host's memory, too (`config/lora.py`).
        """
        slots, given = demand.max_active_adapters, demand.max_cpu_adapters
        if slots == 0 or given is not None:
            return max(slots, given or 0)
        planned = planned_for_adapters(demand.instance, demand.tensor_parallel)
        return max(slots, min(planned // _host_adapter(demand) - 1, MOST_HOST_ADAPTERS))

    def host_adapters(self, demand: Demand) -> int:
        """Multiply an adapter's size by their number and one: the next is loaded before one is evicted."""
        if demand.max_active_adapters == 0:
            return 0
        return (self.host_slots(demand) + 1) * _host_adapter(demand)

    def graphs(self, demand: Demand) -> tuple[int, int]:
        """Scale the measured memory with the number of batch sizes that are captured."""
        low, high = _GRAPHS_GIB[demand.max_active_adapters > 0]
        share = captured_sizes(demand.max_num_seqs) / _GRAPHS
        return int(low * share * GIB), int(high * share * GIB)

    def largest_step(self, demand: Demand) -> LargestStep:
        """Take a prefill of 2,048 tokens (8,192 on GPUs of 70 GiB and more, but the A100).

        It takes a row of logits for each sequence. Measured (vLLM 0.8.5, H100, 2,048 sequences against 100):
        14.3 to 14.4 bytes for each logit.
        """
        large = demand.instance.gpu_gib >= 70 and demand.instance.gpu != "A100"
        return LargestStep(tokens=8192 if large else 2048, rows=demand.max_num_seqs, logit_bytes=14.4)

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
        # Phi-3 has them packed, as qkv_proj.
        split = demand.shape.architecture not in _PACKED
        if split and demand.adapter_target_modules is None and enough(few):
            yield "engine.adapter_target_modules: [q_proj, v_proj]"


def _host_adapter(demand: Demand) -> int:
    """Compute the size of an adapter in the host's memory, where each GPU's process has it as a whole.

    Each has its own rank there (`lora/lora_model.py`, `lora/worker_manager.py`), here the largest.
    """
    modules, number = demand.adapter_target_modules, demand.number_bytes
    one = adapter_bytes(demand.shape, demand.max_adapter_rank, modules, number)
    # No bytes: `modules` names none of the model's linear layers.
    return demand.tensor_parallel * max(1, one)


def slot_bytes(
    shape: ModelShape,
    rank: int,
    modules: Collection[str] | None,
    tensor_parallel: int = 1,
    number: int = HALF,
) -> int:
    """Compute the size of a slot on one GPU, for adapters of up to `rank` on `modules` (None: on all).

    `number`: bytes of a number.

    As vLLM 0.32.0 allocates: an A and a B of the full rank for each layer; of layers that vLLM packs into
    one (q, k, v; gate, up) for all where `modules` names one. Where a layer is split by output only B is
    shared out among the GPUs, where it is split by input only A; embeddings and head are on each GPU.
    """
    q, kv = shape.attention_heads * shape.head_dim, kv_heads_per_gpu(shape, tensor_parallel) * shape.head_dim
    hidden, gpus = shape.hidden_size, tensor_parallel
    intermediate = shape.intermediate_size // gpus
    split = shape.architecture not in _PACKED

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
    return rank * number * (shape.layers * layer + count * (shape.vocab_size + hidden))


def captured_sizes(max_num_seqs: int) -> int:
    """Return the number of batch sizes that vLLM captures CUDA graphs for: `_set_cudagraph_sizes`.

    1, 2, 4, then steps of 8 below 256 and of 16 from there, up to twice the sequences and to 512.
    """
    largest = min(2 * max_num_seqs, 512)
    sizes = (1, 2, 4, *range(8, 256, 8), *range(256, 513, 16))
    return sum(size <= largest for size in sizes)


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
    # `DEFAULT_BLOCK_SIZE` of config/cache.py.
    block_tokens=16,
    copies_kv_heads=True,
    adapter_key="max_active_adapters",
    # Also where a GPU has no FP8 (Marlin kernels).
    quantization="fp8_per_tensor",
    # Lines of 0.32.0 (v1/worker/gpu_model_runner.py, gpu_worker.py and v1/core/kv_cache_utils.py), which 0.8
    # with the V1 engine has, too, but for the graphs: it keeps nothing back for them.
    log=LogLines(
        kv_tokens=r"KV cache size: ([\d,]+) tokens",
        loaded_gib=r"Model loading took ([\d.]+) GiB",
        kv_gib=r"[Aa]vailable KV cache memory:? \(?(-?[\d.]+) GiB",
        graphs_gib=r"Estimated CUDA graph memory: ([\d.]+) GiB",
    ),
)
