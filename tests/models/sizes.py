"""Sizes of the engine's memory for several settings: `python -m tests.models.sizes SETTINGS FOLDER`.

SETTINGS is a JSON list of objects: a model's `folder`, made from its `config` where it is missing, with an
adapter beside it in `adapter`; its `architecture`; `arguments` of `vllm.LLM`; whether to `load` the adapter.
FOLDER gets N.json for the Nth, with the bytes that the engine allocated. The engine's log goes to stdout, the
Nth start's after the line "=== N".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.models.architectures import MadeAdapter, TinyModel
from tests.models.engine import started
from tests.models.making import make_adapter, make_model


def measure(setting: dict[str, Any]) -> dict[str, int]:
    """Start an engine, load an adapter; return bytes of slots and of adapters in the host's memory."""
    folder, architecture = Path(setting["folder"]), setting["architecture"]
    adapter = folder.parent / "adapter"
    if not folder.exists():
        model = make_model(architecture, TinyModel(config=setting["config"], adapters={}), folder)
        make_adapter(model, MadeAdapter(lora={"target_modules": "all-linear"}), architecture, adapter)
    with started(folder, architecture, setting["arguments"]) as engine:
        if setting["load"]:
            engine.load(adapter)
        return {"slots": engine.slot_bytes(), "host": engine.host_bytes()}


def _main() -> None:
    for number, setting in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        print(f"=== {number}", flush=True)
        (Path(sys.argv[2]) / f"{number}.json").write_text(json.dumps(measure(setting)))


if __name__ == "__main__":
    _main()
