"""Sizes of the engine's memory for several settings: `python -m tests.models.sizes SETTINGS FOLDER`.

SETTINGS is a JSON list of objects with a model's `folder`, its `architecture`, `arguments` of `vllm.LLM`, and
an `adapter` to load or null. FOLDER gets N.json for the Nth, with the bytes that the engine allocated. The
engine's log goes to stdout, the Nth start's after the line "=== N".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.models.engine import started


def measure(
    folder: Path, architecture: str, arguments: dict[str, Any], adapter: str | None
) -> dict[str, int]:
    """Start an engine, load an adapter; return bytes of slots and of adapters in the host's memory."""
    with started(folder, architecture, arguments) as engine:
        if adapter is not None:
            engine.load(Path(adapter))
        return {"slots": engine.slot_bytes(), "host": engine.host_bytes()}


def _main() -> None:
    for number, each in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        print(f"=== {number}", flush=True)
        found = measure(Path(each["folder"]), each["architecture"], each["arguments"], each["adapter"])
        (Path(sys.argv[2]) / f"{number}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    _main()
