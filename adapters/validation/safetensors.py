"""The header of a safetensors file, which lists its tensors. Tensor data is never read.

The file is untrusted: the header's length and each tensor's shape and offsets are checked before use.
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeGuard

from adapters import git_lfs
from adapters.errors import InvalidFiles
from adapters.files import ReadableFile
from adapters.strict_json import NotAnObject, parse_object, shown

#: The header is preceded by its length, a little-endian 64-bit integer.
HEADER_LENGTH_BYTES = 8
#: Longest header that is read. An adapter for every layer of a 70B model has one of about 0.3 MB, one for
#: every expert of a large mixture of experts 7 MB; the format itself allows 100 MB.
MAX_HEADER_BYTES = 10 * 1024 * 1024
#: A parsed header needs up to eight times its bytes of memory: large ones are read one after another.
_LARGE_HEADER_BYTES = 512 * 1024
_LARGE_HEADERS = threading.Lock()
#: About as many as fit into a header of 10 MiB.
MAX_TENSORS = 100_000

#: Bits per element by dtype, from safetensors 0.8.0.
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
_MAX_DIMENSIONS = 16
_MAX_SIDE = 2**63 - 1
#: The most occurrences of a character in the JSON of one tensor. Counted before parsing: an empty list has
#: three bytes in a file, and sixty in memory.
_PER_TENSOR = {b"{": 1, b"[": 2, b'"': 10, b",": 8}
#: Allowance for `__metadata__`, counted in tensors.
_OTHER_ENTRIES = 1_000
_DAMAGED = "it was cut off or damaged on the way: save or upload it again"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Offset of its first byte from the end of the header."""
    end: int


def read_header(name: str, file: ReadableFile) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name; `name` is the adapter's, for messages.

    Reads 8 bytes and then at most `MAX_HEADER_BYTES`. Raises `InvalidFiles` if it is not a safetensors
    file, or if the header does not describe every byte of it.
    """
    first = bytes(file.read(0, HEADER_LENGTH_BYTES))
    length = int.from_bytes(first, "little")
    data_size = file.size - HEADER_LENGTH_BYTES - length
    if len(first) < HEADER_LENGTH_BYTES or length > MAX_HEADER_BYTES or length < 2 or data_size < 0:
        if first == git_lfs.FIRST_BYTES and git_lfs.has_pointer(file):
            raise InvalidFiles(name, f"its weights file {git_lfs.PROBLEM}", git_lfs.REMEDY)
        raise _no_header(name, first, length, file.size)
    with _LARGE_HEADERS if length > _LARGE_HEADER_BYTES else nullcontext():
        return _read_tensors(name, file, length, data_size)


def _read_tensors(name: str, file: ReadableFile, length: int, data_size: int) -> dict[str, Tensor]:
    header = bytes(file.read(HEADER_LENGTH_BYTES, length))
    if len(header) != length:
        raise InvalidFiles(name, "its weights file ends within the header", _DAMAGED)
    if any(header.count(sign) > most * (MAX_TENSORS + _OTHER_ENTRIES) for sign, most in _PER_TENSOR.items()):
        raise InvalidFiles(name, f"its safetensors header lists more than {MAX_TENSORS} tensors", _DAMAGED)
    try:
        entries = parse_object(header)
    except NotAnObject as error:
        raise InvalidFiles(name, f"its safetensors header is damaged: {error}", _DAMAGED) from error
    _check_metadata(name, entries.pop("__metadata__", {}))
    if len(entries) > MAX_TENSORS:
        raise InvalidFiles(name, f"its safetensors header lists {len(entries)} tensors", _DAMAGED)
    tensors = {key: _tensor(name, key, entry) for key, entry in entries.items()}
    _check_layout(name, tensors, data_size)
    return tensors


def _no_header(name: str, first: bytes, length: int, size: int) -> InvalidFiles:
    # Only after the length was found impossible: a header of 128 bytes starts with \x80, too.
    if first.startswith((b"PK", b"\x80")):
        return InvalidFiles(
            name,
            "its weights are a PyTorch pickle under a safetensors name, and loading a pickle runs its code",
            "name the file adapter_model.bin, and it is converted without running anything",
        )
    if first.startswith(b"GGUF"):
        return InvalidFiles(
            name,
            "its weights are a GGUF file, which llama.cpp reads",
            "name the PEFT adapter that it was made from",
        )
    if first.lower().startswith((b"<!doc", b"<html")):
        return InvalidFiles(
            name,
            "its weights file is a web page",
            "download the file itself, with `hf download` or from …/resolve/… in place of …/blob/…",
        )
    if len(first) == HEADER_LENGTH_BYTES and MAX_HEADER_BYTES < length <= size:
        return InvalidFiles(
            name,
            f"its safetensors header claims {length} bytes, of which at most {MAX_HEADER_BYTES} are read",
            "save the adapter again, without other models' tensors in the file",
        )
    return InvalidFiles(name, "its weights file is not a safetensors file", _DAMAGED)


def _check_metadata(name: str, metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidFiles(name, "the __metadata__ of its safetensors header is not text", _DAMAGED)


def _tensor(name: str, key: str, entry: Any) -> Tensor:
    problem = f"its safetensors header is damaged at tensor {shown(key)}"
    if not isinstance(entry, dict):
        raise InvalidFiles(name, problem, _DAMAGED)
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise InvalidFiles(name, f"{problem}: its dtype is {shown(dtype)}", _DAMAGED)
    if not (_are_sizes(shape) and len(shape) <= _MAX_DIMENSIONS):
        raise InvalidFiles(name, f"{problem}: its shape cannot be", _DAMAGED)
    if not (_are_sizes(offsets) and len(offsets) == 2 and offsets[0] <= offsets[1]):
        raise InvalidFiles(name, f"{problem}: its offsets cannot be", _DAMAGED)
    elements = 1
    for side in shape:
        elements *= side
    if elements * _BITS[dtype] != (offsets[1] - offsets[0]) * 8:
        raise InvalidFiles(name, f"{problem}: its shape does not fit its bytes", _DAMAGED)
    return Tensor(dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    # type() instead of isinstance(): true is an int to Python.
    return isinstance(value, list) and all(type(size) is int and 0 <= size <= _MAX_SIDE for size in value)


def _check_layout(name: str, tensors: Mapping[str, Tensor], data_size: int) -> None:
    """Check that the tensors are contiguous, from the header to the end of the file."""
    position = 0
    for key, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != position:
            raise InvalidFiles(
                name,
                f"the tensors of its weights file overlap or leave holes, at {shown(key)}",
                _DAMAGED,
            )
        position = tensor.end
    if position != data_size:
        raise InvalidFiles(
            name,
            f"its weights file has {data_size} bytes of tensors, its header describes {position}",
            _DAMAGED,
        )
