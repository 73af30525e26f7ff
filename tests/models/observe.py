"""Observation of the engine with the adapters of the architectures named on stdin, one a line.

`python -m tests.models.observe FOLDER` makes each model and its adapters in FOLDER/ARCHITECTURE and writes
`observed.json` there. It is one process, because the first start of vLLM in a process takes 15 s, the next ones
3 s.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from tests.models.architectures import BASE, MODELS, OBSERVED
from tests.models.engine import Engine, started
from tests.models.making import answer, make_adapter, make_model


def observe(architecture: str, folder: Path) -> dict[str, Any]:
    """Return, by adapter, if the engine refused it, or its layers without a slot and how far off the answers were.

    `error` is the distance to the answer of PEFT, `effect` that to the engine's without an adapter.
    """
    tiny = MODELS[architecture]
    model = make_model(architecture, tiny, folder / BASE)
    # Before the engine starts: it may run the model by Transformers' class, and changes that.
    base = answer(model)
    right = {
        name: answer(make_adapter(model, adapter, architecture, folder / name))
        for name, adapter in tiny.adapters.items()
    }
    try:
        with started(folder / BASE, architecture, tiny.engine) as engine:
            return _observe(engine, base, right, folder)
    except ValueError as error:
        if tiny.takes_adapters:
            raise
        return {BASE: {"refused": str(error)}}


def _observe(
    engine: Engine, base: torch.Tensor, right: dict[str, torch.Tensor], folder: Path
) -> dict[str, Any]:
    without = engine.answer(adapted=False)
    seen: dict[str, Any] = {BASE: {"error": _distance(without, base)}}
    for name, expected in right.items():
        try:
            lost = engine.load(folder / name)
        except Exception as error:
            seen[name] = {"refused": str(error)}
            continue
        found = engine.answer(adapted=True)
        seen[name] = {
            "lost": lost,
            "error": _distance(found, expected),
            "effect": _distance(found, without),
        }
    return seen


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two log probabilities."""
    return float((one - other).abs().max())


def _main() -> None:
    for line in sys.stdin:
        folder = Path(sys.argv[1]) / line.strip()
        try:
            seen = observe(line.strip(), folder)
        except Exception:
            seen = {"failed": traceback.format_exc()}
        unfinished = folder / "unfinished.json"
        unfinished.write_text(json.dumps(seen))
        unfinished.replace(folder / OBSERVED)


if __name__ == "__main__":
    _main()
