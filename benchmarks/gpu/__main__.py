"""Measure on the GPU of this machine: `python -m benchmarks.gpu`, with Mistral-7B's shapes.

PyTorch is all that it needs. The tables are printed, the figures are written to out/gpu.json. `--tiny` is for
a machine without GPU: it shows that the script works and measures nothing of interest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.errors import BenchmarkFailed
from benchmarks.gpu.decode_step import DecodeStep
from benchmarks.gpu.measure import slot_memory, step_times
from benchmarks.gpu.report import slot_table, step_table
from stacks.sizing.known_models import KNOWN_MODELS
from stacks.sizing.model_shape import ModelShape

MODEL = "mistralai/Mistral-7B-v0.1"
#: Different adapters in a batch, and slots; the batch has as many sequences as all of them divide.
ADAPTERS = (1, 8, 20, 50)
RANKS = (8, 16, 64)
SEQUENCES = 200
#: Rank of the decode step, and tokens of a sequence: 13.5 GiB of weights, 3.9 of slots and 2.3 of KV cache.
RANK, CONTEXT = 16, 96


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the results.

    Raises:
        BenchmarkFailed: no GPU, and not `--tiny`.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Measure LoRA on a GPU.")
    parser.add_argument("--tiny", action="store_true", help="a tiny model on the CPU")
    parser.add_argument(
        "--output", type=Path, default=Path("out/gpu.json"), help="JSON document of the results"
    )
    options = parser.parse_args(arguments)
    shape = KNOWN_MODELS[MODEL]
    if options.tiny:
        shape, device, dtype = tiny(shape), "cpu", torch.float32
    elif torch.cuda.is_available():
        device, dtype = "cuda", torch.bfloat16
    else:
        raise BenchmarkFailed("no GPU for CUDA here: run this on a machine with one, or add --tiny")
    card = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    with torch.inference_mode():
        memory = slot_memory(shape, ADAPTERS, RANKS, device=device, dtype=dtype)
        step = DecodeStep(shape, sequences=SEQUENCES, context=CONTEXT, device=device, dtype=dtype)
        times = step_times(
            step,
            shape,
            ADAPTERS,
            context=CONTEXT,
            rank=RANK,
            device=device,
            rounds=1 if options.tiny else 10,
            repeats=1 if options.tiny else 20,
        )
    now = datetime.now(UTC).date().isoformat()
    print(f"{card}, {now}, PyTorch {torch.__version__}, {'tiny shapes' if options.tiny else MODEL}\n")
    print(slot_table(memory), step_table(times), sep="\n\n")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "card": card,
        "date": now,
        "torch": torch.__version__,
        "model": "tiny" if options.tiny else MODEL,
        "slot_memory": [asdict(row) for row in memory],
        "step_times": asdict(times),
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n")


def tiny(shape: ModelShape) -> ModelShape:
    """Return a model of the same kind that a CPU computes in milliseconds."""
    return replace(
        shape,
        layers=2,
        hidden_size=64,
        intermediate_size=96,
        attention_heads=4,
        kv_heads=2,
        head_dim=16,
        vocab_size=128,
    )


if __name__ == "__main__":
    main()
