"""The memory of an instance's host: the part that adapters may take."""

from __future__ import annotations

from stacks.sizing.instances import InstanceType
from stacks.sizing.memory_parts import GIB

#: GiB of the host's system, SageMaker's agents, the gateway and the engine's own server. Assumed.
SYSTEM_GIB = 4
#: GiB of the process of each GPU: CUDA's context, PyTorch and the engine's buffers. Assumed.
PROCESS_GIB = 3
#: Planned share of the rest. The other half is left for the page cache, through which the base model's files
#: are read at the start, and later the adapters: memory for adapters is pinned, and nothing can take it back.
ADAPTER_SHARE = 0.5


def left_for_adapters(instance: InstanceType, gpus: int) -> int:
    """Return the bytes beside the system and the processes of so many GPUs; 0 if there are none."""
    return max(0, instance.memory_gib - SYSTEM_GIB - gpus * PROCESS_GIB) * GIB


def planned_for_adapters(instance: InstanceType, gpus: int) -> int:
    """Return the bytes that are planned for adapters."""
    return int(ADAPTER_SHARE * left_for_adapters(instance, gpus))
