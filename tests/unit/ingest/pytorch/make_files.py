"""Make the checkpoints in `files/`, with the PyTorch release that runs this script; needs nothing but torch.

For each release, in an empty folder (a wheel of 2023 with its CUDA libraries has 2 GB):

    pip install --target releases/1.13.1 torch==1.13.1
    PYTHONPATH=releases/1.13.1 python tests/unit/ingest/pytorch/make_files.py tests/unit/ingest/pytorch/files

The names of the files have the release, so that a file says by what it was written.
"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch


def layers() -> "OrderedDict[str, torch.Tensor]":
    """Return tensors in every layout that PyTorch stores differently."""
    generator = torch.Generator().manual_seed(13)
    whole = torch.randn(12, 10, generator=generator)
    tensors: OrderedDict[str, torch.Tensor] = OrderedDict()
    for number, dtype in enumerate((torch.float32, torch.float16, torch.bfloat16)):
        prefix = f"base_model.model.model.layers.{number}.self_attn.q_proj"
        tensors[f"{prefix}.lora_A.weight"] = torch.randn(4, 16, generator=generator).to(dtype)
        tensors[f"{prefix}.lora_B.weight"] = torch.randn(4, 16, generator=generator).to(dtype).t()
    tensors["whole"] = whole
    tensors["rows"] = whole[3:7]
    tensors["every_third"] = whole[1::3, ::2]
    tensors["expanded"] = torch.randn(5, 1, generator=generator).expand(5, 6)
    tensors["four_sides"] = torch.randn(2, 3, 4, 5, generator=generator).permute(2, 0, 3, 1)
    tensors["scalar"] = torch.tensor(1.5, dtype=torch.bfloat16)
    tensors["empty"] = torch.zeros(0, 8)
    tensors["parameter"] = torch.nn.Parameter(torch.randn(3, 3, generator=generator))
    return tensors


def main(folder: Path) -> None:
    """Write one file as PEFT did, one as trainers did that saved a module, and one in the old format."""
    release = torch.__version__.split("+")[0]
    folder.mkdir(exist_ok=True)
    torch.save(dict(layers()), folder / f"dict-{release}.bin")
    module = torch.nn.Linear(8, 4)
    module.load_state_dict({"weight": torch.arange(32.0).reshape(4, 8), "bias": torch.arange(4.0)})
    nested = {
        "epoch": 3,
        "lr": 1e-4,
        "done": True,
        "note": None,
        "seen": [1, 2],
        "state_dict": module.state_dict(),
    }
    torch.save(nested, folder / f"nested-{release}.bin")
    old = folder / f"old-format-{release}.bin"
    torch.save({"weight": torch.ones(2)}, old, _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
