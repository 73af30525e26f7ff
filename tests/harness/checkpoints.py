"""Checkpoints of PyTorch of any size, written to disk member by member, without PyTorch."""

import random
import zipfile
from pathlib import Path

from adapters.store.layout import CONFIG_FILE
from tests.harness.factories import HIDDEN, adapter

CHECKPOINT_FILE = "adapter_model.bin"
RANK = 64


def write_checkpoint(folder: Path, mebibytes: int, *, transposed_every: int = 0) -> None:
    """Write an adapter of rank 64 with one layer for each MiB, and its config.

    `transposed_every` is n to store the lora_B of each n-th layer as the transpose of a matrix.
    """
    (folder / CONFIG_FILE).write_bytes(adapter(0, mebibytes=1)[CONFIG_FILE])
    rng = random.Random(0)
    entries: list[bytes] = []
    for layer in range(mebibytes):
        transposed = transposed_every and layer % transposed_every == 0
        for side, shape in (("A", (RANK, HIDDEN)), ("B", (HIDDEN, RANK))):
            name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight"
            strides = (1, HIDDEN) if transposed and side == "B" else (shape[1], 1)
            entries.append(_tensor(name, len(entries), shape, strides))
    with zipfile.ZipFile(folder / CHECKPOINT_FILE, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("adapter_model/data.pkl", b"\x80\x02}(" + b"".join(entries) + b"u.")
        archive.writestr("adapter_model/byteorder", b"little")
        for key in range(len(entries)):
            archive.writestr(f"adapter_model/data/{key}", rng.randbytes(RANK * HIDDEN * 2))
        archive.writestr("adapter_model/version", b"3\n")


def _tensor(name: str, key: int, shape: tuple[int, int], strides: tuple[int, int]) -> bytes:
    """Return the opcodes of an item of a dict: a name, and a tensor in its own storage."""
    reference = [
        _text("storage"), b"ctorch\nHalfStorage\n", _text(str(key)), _text("cpu"), _int(shape[0] * shape[1]),
    ]  # fmt: skip
    sides = b"".join(map(_int, shape)) + b"\x86" + b"".join(map(_int, strides)) + b"\x86"
    arguments = b"((" + b"".join(reference) + b"tQ" + _int(0) + sides + b"\x89ccollections\nOrderedDict\n)Rt"
    return _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _int(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little")
