"""Makes tiny models and their adapters with transformers and PEFT, as people save them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tests.models.architectures import MadeAdapter, TinyModel
from tests.models.saved_names import RANK

#: The prompt of all answers.
PROMPT = (5, 17, 99, 42, 8, 77, 31, 64)


def make_model(architecture: str, tiny: TinyModel, folder: Path) -> Any:
    """Save a model with random weights, and return it."""
    torch.manual_seed(0)
    arguments = copy.deepcopy(dict(tiny.config))
    config = transformers.AutoConfig.for_model(arguments.pop("model_type"), **arguments)
    config.dtype = "float32"
    # Other implementations of attention leave Gemma's soft capping out.
    model = getattr(transformers, architecture)._from_config(config, attn_implementation="eager").eval()
    model.save_pretrained(folder)
    return model


def make_adapter(model: Any, adapter: MadeAdapter, base: str, folder: Path) -> Any:
    """Save an adapter with random weights for the model named `base`, and return a copy of it with that adapter."""
    torch.manual_seed(1)
    settings = {"r": RANK, "lora_alpha": 16, "init_lora_weights": False, "task_type": "CAUSAL_LM"}
    changed = get_peft_model(copy.deepcopy(model), LoraConfig(**{**settings, **adapter.lora})).eval()
    changed.save_pretrained(folder)
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    save_file(adapter.saved(load_file(weights)), weights)
    written = {"base_model_name_or_path": base, **adapter.written}
    config.write_text(json.dumps(json.loads(config.read_text()) | written))
    return changed


def answer(model: Any) -> torch.Tensor:
    """Return the log probabilities of the token after `PROMPT`."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([PROMPT])).logits[0, -1]
    return torch.log_softmax(logits.float(), dim=-1)
