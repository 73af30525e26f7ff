"""A throw-away third engine: all that an engine is to synth, seeder and CLI."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapters.engines.architectures import ArchitectureFacts, kinds
from adapters.engines.record import FEATURES, REFUSES, EngineRules
from adapters.engines.registry import ENGINES
from container.gateway.settings import Settings, SettingsError
from stacks.config.container_check import READERS
from stacks.sizing.demand import Demand
from stacks.sizing.engines.memory import AdapterMemory, EngineMemory, LargestStep, LogLines
from stacks.sizing.engines.registry import MEMORY

NAME = "tern"
RULES = EngineRules(
    name=NAME,
    title="Tern",
    version="1.0",
    refused_releases=None,
    max_rank=32,
    kernel_ranks=(16, 32),
    quantizations={"int4": 4.5, "int5": None},
    architectures={
        "MistralForCausalLM": ArchitectureFacts(kinds({"model.layers.*.self_attn": "q_proj v_proj"})),
        "LlamaForCausalLM": ArchitectureFacts(None),
    },
    serves_code=False,
    needs_all_layers=False,
    features=dict.fromkeys(FEATURES, REFUSES) | {"use_dora": None},
    reads_named_base=False,
    unused_settings={
        "adapter_memory_fraction": "Tern swaps adapters to the host",
        "adapter_target_modules": "Tern takes all modules",
        "arguments": "Tern has no flags",
        "tool_call_parser": "Tern calls no tools",
    },
)


class TernMemory(EngineMemory):
    def adapters(self, demand: Demand) -> AdapterMemory:
        reserved = demand.max_active_adapters * demand.max_adapter_rank * 2**20
        return AdapterMemory(reserved, demand.max_active_adapters, "1 MiB per rank")

    def host_slots(self, demand: Demand) -> int:
        return demand.max_active_adapters

    def host_adapters(self, demand: Demand) -> int:
        return demand.max_active_adapters * 2**30

    def graphs(self, demand: Demand) -> tuple[int, int]:
        return 0, 0

    def largest_step(self, demand: Demand) -> LargestStep:
        return LargestStep(tokens=demand.max_input_tokens, rows=1, logit_bytes=4)

    def adapter_remedies(self, demand: Demand, enough: Callable[[Demand], bool]) -> Iterator[str]:
        if enough(replace(demand, max_active_adapters=1)):
            yield "engine.max_active_adapters: 1"


TERN = TernMemory(
    cuda=(12, 4),
    oldest_gpu=None,
    newer_gpus=None,
    native_only={},
    usable_share=0.9,
    kv_share=1.0,
    kv_sequences=1,
    halved_kv=frozenset(),
    block_tokens=16,
    copies_kv_heads=False,
    adapter_key="max_active_adapters",
    quantization="int4",
    log=LogLines(kv_tokens=r"room for (\d+) tokens", loaded_gib=None, kv_gib=None, graphs_gib=None),
)


def check_settings(settings: Settings, _environment: Mapping[str, str]) -> None:
    if settings.quantize is not None and settings.quantize not in RULES.quantizations:
        raise SettingsError("HF_MODEL_QUANTIZE", settings.quantize, "give one that Tern knows: int4, int5")


#: The registries, with the entry of the engine in each.
PARTS: dict[str, tuple[dict[str, Any], Any]] = {
    "rules": (ENGINES, RULES),
    "memory": (MEMORY, TERN),
    "reader": (READERS, check_settings),
}


def register(monkeypatch: pytest.MonkeyPatch, without: str | None = None) -> None:
    for part, (registry, entry) in PARTS.items():
        if part != without:
            monkeypatch.setitem(registry, NAME, entry)
