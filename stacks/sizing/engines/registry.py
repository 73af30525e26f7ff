"""Registry of the engines' memory and hardware."""

from __future__ import annotations

from stacks.sizing.engines import lorax, vllm
from stacks.sizing.engines.memory import EngineMemory

#: By name of the engine, as in `adapters.engines.registry.ENGINES`.
MEMORY: dict[str, EngineMemory] = {"lorax": lorax.MEMORY, "vllm": vllm.MEMORY}
