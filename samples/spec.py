"""Specification of the sample models: names, paths and sizes, for the training script and the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent
BASE_DIR = SAMPLES / "base"
ADAPTERS_DIR = SAMPLES / "adapters"
SCORES = SAMPLES / "scores.json"

SEED = 2024
BASE_NAME = "tiny-mistral"
VOCABULARY = 1024
CONTEXT = 512
DIMENSIONS: dict[str, int] = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
}
LORA: dict[str, Any] = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
