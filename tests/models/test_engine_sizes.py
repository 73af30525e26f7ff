"""The memory plan's sizes are those that the real engine allocates: slots, KV cache, adapters in the host's memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from stacks.project import ROOT
from stacks.sizing.engine_log import read_engine_log
from stacks.sizing.engines.vllm import slot_bytes
from stacks.sizing.memory_parts import SINGLE, adapter_bytes, kv_bytes_per_token
from stacks.sizing.model_shape import ModelShape, shape_of_local_model
from tests.models.saved_names import RANK
from tests.models.test_engine_agrees import ENVIRONMENT

#: Tokens of a block of the KV cache of vLLM's CPU build (platforms/cpu.py).
CPU_BLOCK = 128
#: Its vocabulary is no multiple of 64, to which vLLM pads embeddings.
LLAMA: dict[str, Any] = {
    **{"model_type": "llama", "vocab_size": 777, "hidden_size": 192, "intermediate_size": 320},
    **{"num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32},
    **{"max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
SAMPLE, TIED, UNTIED = "the sample", "Llama with a tied head", "Llama with a separate head"
CLASSES = {SAMPLE: "MistralForCausalLM", TIED: "LlamaForCausalLM", UNTIED: "LlamaForCausalLM"}


@dataclass(frozen=True)
class Setting:
    """A start of the engine."""

    model: str
    max_loras: int
    rank: int
    """`max_lora_rank`, one of vLLM's."""
    kv_mib: float
    modules: tuple[str, ...] | None = None

    @property
    def loads(self) -> bool:
        """True if the model's adapter is loaded, whose rank is `RANK`."""
        return self.model != SAMPLE and self.rank >= RANK

    @property
    def arguments(self) -> dict[str, Any]:
        modules = {} if self.modules is None else {"lora_target_modules": list(self.modules)}
        return {
            **{"max_loras": self.max_loras, "max_lora_rank": self.rank, "max_model_len": 256},
            **{"kv_cache_memory_bytes": int(self.kv_mib * 2**20), **modules},
        }


# The sizes of the KV cache differ, because vLLM does not log the same line twice in a process.
SETTINGS = (
    Setting(SAMPLE, 1, 8, 1024),
    Setting(SAMPLE, 1, 64, 70.5),
    Setting(SAMPLE, 4, 16, 33.3),
    Setting(SAMPLE, 8, 8, 96),
    Setting(SAMPLE, 50, 16, 114),
    Setting(SAMPLE, 3, 320, 17.3, ("q_proj", "v_proj")),
    Setting(TIED, 1, 1, 34.7),
    Setting(TIED, 2, 64, 51),
    Setting(TIED, 5, 8, 24),
    Setting(UNTIED, 1, 16, 42.1),
    Setting(UNTIED, 3, 8, 19.9),
    Setting(UNTIED, 7, 32, 60),
)


@dataclass(frozen=True)
class Allocated:
    """Bytes that the engine allocated for a setting, the model's shape, and the engine's log."""

    shape: ModelShape
    slots: int
    host: int
    log: str


@pytest.fixture(scope="module")
def allocated(tmp_path_factory: pytest.TempPathFactory) -> dict[Setting, Allocated]:
    folder = tmp_path_factory.mktemp("sizes")
    folders = {SAMPLE: ROOT / "samples/base", TIED: folder / "tied/base", UNTIED: folder / "untied/base"}
    settings = [
        {
            "folder": str(folders[each.model]),
            "config": {**LLAMA, "tie_word_embeddings": each.model == TIED},
            "architecture": CLASSES[each.model],
            "arguments": each.arguments,
            "load": each.loads,
        }
        for each in SETTINGS
    ]
    (folder / "settings").write_text(json.dumps(settings))
    environment = {**os.environ, **ENVIRONMENT, "VLLM_LOGGING_LEVEL": "INFO"}
    # It has the size of the KV cache of all starts.
    del environment["VLLM_CPU_KVCACHE_SPACE"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.sizes", str(folder / "settings"), str(folder)],
        check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    logs = re.split(r"^=== \d+$", done.stdout, flags=re.MULTILINE)[1:]
    found = {}
    for number, (setting, log) in enumerate(zip(SETTINGS, logs, strict=True)):
        shape = shape_of_local_model(folders[setting.model])
        assert shape is not None
        sizes = json.loads((folder / f"{number}.json").read_text())
        found[setting] = Allocated(shape=shape, log=log, **sizes)
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_slots_have_the_size_that_the_engine_allocates(
    setting: Setting, allocated: dict[Setting, Allocated]
) -> None:
    found = allocated[setting]
    assert (
        setting.max_loras * slot_bytes(found.shape, setting.rank, setting.modules, number=SINGLE)
        == found.slots
    )


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_kv_cache_holds_the_tokens_that_the_engine_logs(
    setting: Setting, allocated: dict[Setting, Allocated]
) -> None:
    found = allocated[setting]
    logged = read_engine_log(found.log, "vllm").kv_tokens
    token = kv_bytes_per_token(found.shape, 1, SINGLE)
    blocks = setting.arguments["kv_cache_memory_bytes"] // (token * CPU_BLOCK)
    assert logged is not None
    assert abs(logged - blocks * CPU_BLOCK) <= CPU_BLOCK


def test_an_adapter_takes_its_own_rank_in_the_hosts_memory(allocated: dict[Setting, Allocated]) -> None:
    loaded = [found for setting, found in allocated.items() if setting.loads]
    assert len(loaded) == 5
    for found in loaded:
        assert found.host == adapter_bytes(found.shape, RANK, None, SINGLE)
