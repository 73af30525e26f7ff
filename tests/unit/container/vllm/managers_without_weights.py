"""vLLM's managers of adapters, with its own LRU caches and without weights; importing it imports vLLM."""

from collections.abc import Iterable
from typing import Any

from vllm.config import LoRAConfig
from vllm.lora.model_manager import AdapterLRUCache, LRUCacheLoRAModelManager
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from container.vllm.resident_adapters import ResidentAdapters


class Weights:
    """An adapter in host memory."""

    def __init__(self, number: int) -> None:
        self.id = number


class Slots(LRUCacheLoRAModelManager):
    """vLLM's manager of a model without modules: it has the slots and the caches, and no weights to copy."""

    def __init__(self, slots: int, memory: int) -> None:
        self.lora_config = LoRAConfig(max_loras=slots, max_cpu_loras=memory)
        self._registered_adapters = AdapterLRUCache(memory, self.deactivate_adapter)
        self._active_adapters = AdapterLRUCache(slots, self._deactivate_adapter)
        self.lora_index_to_id = [None] * slots
        self.modules = {}

    def _add_adapter(self, lora: Any) -> None:
        self._registered_adapters[lora.id] = lora


class NoFiles:
    """Loads an adapter without files."""

    def _load_adapter(self, lora_request: LoRARequest) -> Any:
        return Weights(lora_request.lora_int_id)


class Ours(NoFiles, ResidentAdapters):
    def __init__(self, slots: int, memory: int) -> None:
        self._adapter_manager = Slots(slots, memory)
        self._begin()


class Vllms(NoFiles, LRUCacheWorkerLoRAManager):
    def __init__(self, slots: int, memory: int) -> None:
        self._adapter_manager = Slots(slots, memory)


def requests(numbers: Iterable[int]) -> set[LoRARequest]:
    return {LoRARequest(f"a{number}", number, "/nowhere") for number in numbers}


def step(subject: LRUCacheWorkerLoRAManager, *numbers: int) -> bool:
    """Run a step of requests for these adapters; return whether each has a slot in it."""
    found = requests(numbers)
    if isinstance(subject, ResidentAdapters):
        subject.count_requests(found)
    subject.set_active_adapters(found, None)
    return set(numbers) <= set(subject._adapter_manager.lora_index_to_id)


def uses(subject: ResidentAdapters, name: str) -> dict[str, int]:
    found: dict[str, int] = subject.report()["uses"][name]
    return {use: count for use, count in found.items() if count}
