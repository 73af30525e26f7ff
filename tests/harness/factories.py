"""Factories of LoRA adapters and base models of any size, from a seed."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from adapters.files import BytesFile, LocalFile
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.validation.base_model import InvalidBaseModel
from ingest.model_files import ModelFiles
from samples.spec import BASE_DIR

#: Width of the generated model: one layer of a rank-64 adapter on q_proj has 1 MiB.
HIDDEN = 4096
BASE = "acme/wide"


def adapter(seed: int, *, mebibytes: float = 0.125, base: str = BASE, **config: object) -> dict[str, bytes]:
    """Make an adapter's two files; every seed gives other weights. `mebibytes` is rounded to whole layers."""
    rank = 64 if mebibytes >= 1 else 8
    layers = max(1, round(mebibytes * 1024 * 1024 / (rank * HIDDEN * 2 * 2)))
    random_bytes = random.Random(seed).randbytes(rank * HIDDEN * 2)
    weights = np.frombuffer(random_bytes, np.float16)
    tensors = {}
    for layer in range(layers):
        path = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{path}.lora_A.weight"] = np.roll(weights, layer).reshape(rank, HIDDEN)
        tensors[f"{path}.lora_B.weight"] = np.roll(weights, -1 - layer).reshape(HIDDEN, rank)
    content = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": ["q_proj"],
        "bias": "none",
    } | config
    return {CONFIG_FILE: json.dumps(content, indent=1).encode(), WEIGHTS_FILE: save(tensors)}


@dataclass
class Hollow:
    """A file with a beginning, and zeros after it that take no memory."""

    start: bytes
    size: int
    sequential: bool = False

    def read(self, start: int, length: int) -> bytes:
        """See `adapters.files.ReadableFile.read`."""
        end = min(start + length, self.size)
        return self.start[start:end].ljust(max(0, end - start), b"\0")


def base_model(layers: int = 128) -> ModelFiles:
    """Make the base model of the generated adapters, as far as validation reads it."""
    matrix = HIDDEN * HIDDEN * 2
    header = {
        f"model.layers.{layer}.self_attn.q_proj.weight": {
            "dtype": "BF16",
            "shape": [HIDDEN, HIDDEN],
            "data_offsets": [layer * matrix, (layer + 1) * matrix],
        }
        for layer in range(layers)
    }
    text = json.dumps(header).encode()
    weights = Hollow(len(text).to_bytes(8, "little") + text, 8 + len(text) + layers * matrix)
    config = BytesFile(json.dumps({"architectures": ["MistralForCausalLM"]}).encode())
    return ModelFiles(BASE, {"config.json": config, "model.safetensors": weights}, {})


def no_base_model() -> ModelFiles:
    """Fail as for a model that cannot be fetched."""
    raise InvalidBaseModel(BASE, "the repository is gated", "ask for access")


def sample_base_model() -> ModelFiles:
    """Read the sample adapters' base model."""
    return ModelFiles("tiny-mistral", {path.name: LocalFile(path) for path in BASE_DIR.iterdir()}, {})


def write_adapter(folder: Path, mebibytes: int) -> None:
    """Write a large adapter to disk layer by layer; rank 64."""
    rank, half = 64, 64 * HIDDEN * 2
    tensors: dict[str, dict[str, object]] = {}
    for layer in range(mebibytes):
        for side, shape in (("A", [rank, HIDDEN]), ("B", [HIDDEN, rank])):
            start = len(tensors) * half
            name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight"
            tensors[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, start + half]}
    header = json.dumps(tensors).encode()
    (folder / CONFIG_FILE).write_bytes(adapter(0, mebibytes=1)[CONFIG_FILE])
    rng = random.Random(0)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in tensors:
            file.write(rng.randbytes(half))
