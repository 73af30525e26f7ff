"""The repository of the article's adapter, as the Hub lists it since October 2023.

Known of `vineetsharma/qlora-adapter-Mistral-7B-Instruct-v0.1-gsm8k`: the names of its five files, that its config has
501 bytes and its weights 13.7 MB. Both sizes fit the defaults of PEFT 0.6 for Mistral in one way: rank 8, alpha 16,
dropout 0.05, the modules q_proj and v_proj of 32 layers, as float32.
"""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import torch

REPO = "vineetsharma/qlora-adapter-Mistral-7B-Instruct-v0.1-gsm8k"
BASE_MODEL = "mistralai/Mistral-7B-Instruct-v0.1"
RANK = 8
LAYERS = 32
#: Rows and columns of each module's weight in Mistral 7B.
MODULES = {"q_proj": (4096, 4096), "v_proj": (1024, 4096)}
CHECKPOINT = "adapter_model.bin"
_CONFIG = {
    "alpha_pattern": {},
    "auto_mapping": None,
    "base_model_name_or_path": BASE_MODEL,
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layers_pattern": None,
    "layers_to_transform": None,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_type": "LORA",
    "r": RANK,
    "rank_pattern": {},
    "revision": None,
    "target_modules": list(MODULES),
    "task_type": "CAUSAL_LM",
}
#: A pickle of a class, which the Trainer writes. Loading it would run code.
_TRAINING_ARGS = b"\x80\x02cos\nsystem\nX\x10\x00\x00\x00echo never openedq\x00\x85R."


@cache
def tensors() -> dict[str, torch.Tensor]:
    """Return the adapter's tensors by their names in PEFT."""
    generator = torch.Generator().manual_seed(8)
    made = {}
    for layer in range(LAYERS):
        for module, (rows, columns) in MODULES.items():
            path = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            made[f"{path}.lora_A.weight"] = torch.randn(RANK, columns, generator=generator)
            made[f"{path}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator)
    return made


@cache
def repository() -> dict[str, bytes]:
    """Return the repository's files by their names."""
    weights = io.BytesIO()
    torch.save(tensors(), weights)
    return {
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "README.md": b"---\nlibrary_name: peft\n---\n",
        "adapter_config.json": json.dumps(_CONFIG, indent=2, sort_keys=True).encode(),
        CHECKPOINT: weights.getvalue(),
        "training_args.bin": _TRAINING_ARGS,
    }


def base_model(folder: Path) -> dict[str, Path]:
    """Write the base model's files to a folder: its config, and weights with a header and a hole."""
    header, end = {}, 0
    for layer in range(LAYERS):
        for module, (rows, columns) in MODULES.items():
            start, end = end, end + rows * columns * 2
            header[f"model.layers.{layer}.self_attn.{module}.weight"] = {
                "dtype": "BF16", "shape": [rows, columns], "data_offsets": [start, end],
            }  # fmt: skip
    text = json.dumps(header).encode()
    files = {name: folder / name for name in ("config.json", "model.safetensors")}
    files["config.json"].write_text('{"architectures": ["MistralForCausalLM"], "num_hidden_layers": 32}')
    with files["model.safetensors"].open("wb") as weights:
        weights.write(len(text).to_bytes(8, "little") + text)
        weights.truncate(8 + len(text) + end)
    return files
