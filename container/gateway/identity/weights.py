"""The files of loaded adapters: are they those that were published, and do two of them compute the same?

Two revisions may answer alike for a reason: the same weights with another config, the next checkpoint of a
training, a copy with its rank's dimensions in another order. All have nearly the same product of their two
matrices; those of adapters that were trained apart have less in common.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from adapters.errors import InvalidAdapter
from adapters.files import LocalFile, sha256_of
from adapters.store.layout import ADAPTER_FILES, WEIGHTS_FILE, content_digest, revision_of
from adapters.validation.safetensors import HEADER_LENGTH_BYTES, Tensor, read_header

#: Layers that are compared, and rows and columns of each one's product: a few milliseconds in all.
_LAYERS, _SAMPLES = 16, 8
#: Cosine above which two products are alike. Any two of the 50 sample adapters, which were trained on the
#: same problems, have at most 0.67.
_ALIKE = 0.9
_CODES = {"F16": "<e", "F32": "<f"}

_Item = TypeVar("_Item")


def is_published(directory: Path, revision: str) -> bool:
    """Return whether the files below `directory` have the digest of `revision`. Blocks: it reads them.

    True if they cannot be read: then nothing is known against them.
    """
    try:
        digests = {file: sha256_of(LocalFile(_find(directory, file))) for file in ADAPTER_FILES}
    except (OSError, StopIteration):
        return True
    return revision_of(content_digest(digests)) == revision


def are_alike(one: Path, other: Path) -> bool:
    """Return whether the weights below two directories compute nearly the same. Blocks.

    True if either cannot be read: then nothing is known against it.
    """
    try:
        first, second = _products(_find(one, WEIGHTS_FILE)), _products(_find(other, WEIGHTS_FILE))
    except (OSError, StopIteration, InvalidAdapter, KeyError, struct.error):
        return True
    shared = [
        (a, b)
        for layer in first.keys() & second.keys()
        for a, b in zip(first[layer], second[layer], strict=False)
    ]
    size = math.sqrt(_squares(first) * _squares(second))
    return size > 0 and sum(a * b for a, b in shared) / size > _ALIKE


def _find(directory: Path, file: str) -> Path:
    return next(directory.rglob(file))


def _squares(products: dict[str, list[float]]) -> float:
    return sum(value * value for values in products.values() for value in values)


def _products(path: Path) -> dict[str, list[float]]:
    """Return some elements of B·A for some layers: those that a copy in another order has, too."""
    tensors = read_header(path.name, LocalFile(path))
    layers = sorted(name for name in tensors if ".lora_A." in name)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = HEADER_LENGTH_BYTES + int.from_bytes(data[:HEADER_LENGTH_BYTES], "little")
        return {
            name: _product(data, start, tensors[name], tensors[name.replace(".lora_A.", ".lora_B.")])
            for name in _spread(layers, _LAYERS)
        }


def _product(data: mmap.mmap, start: int, a: Tensor, b: Tensor) -> list[float]:
    (rank, inputs), outputs = a.shape, b.shape[0]
    rows = [
        [_element(data, start, b, row * rank + each) for each in range(rank)]
        for row in _spread(range(outputs), _SAMPLES)
    ]
    columns = [
        [_element(data, start, a, each * inputs + column) for each in range(rank)]
        for column in _spread(range(inputs), _SAMPLES)
    ]
    return [sum(x * y for x, y in zip(row, column, strict=True)) for row in rows for column in columns]


def _spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """Return `count` of the items, from all over them."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else [*items]


def _element(data: mmap.mmap, start: int, tensor: Tensor, index: int) -> float:
    if tensor.dtype == "BF16":
        # The upper half of a float32.
        at = start + tensor.start + 2 * index
        return float(struct.unpack("<f", b"\0\0" + data[at : at + 2])[0])
    code = _CODES[tensor.dtype]
    return float(struct.unpack_from(code, data, start + tensor.start + struct.calcsize(code) * index)[0])
