"""Fuzzed checkpoints are converted, or refused with a message; fast, and in little memory."""

import gc
import pickletools
import time
import tracemalloc
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import AdapterError
from adapters.files import BytesFile
from adapters.validation.safetensors import read_header
from ingest.pytorch.converted_file import ConvertedFile
from ingest.pytorch.errors import UnusableCheckpoint
from ingest.pytorch.pickled import PickledTensor, Storage
from ingest.pytorch.tensors import find_tensors
from ingest.pytorch.unpickler import unpickle
from ingest.pytorch.zip_directory import ZipMember
from tests.unit.ingest.pytorch.building import SOURCE, archive, checkpoint, expected, saved

#: Two storages, one of them shared, in 2 kB.
TENSOR = torch.arange(24.0).reshape(4, 6)
VALID = saved({"a.lora_A.weight": TENSOR, "b": TENSOR.t()[1:3], "c": torch.ones(3, dtype=torch.float16)})
SECONDS = 3
NUMBERS = st.integers() | st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, -1, True])
#: Bytes of structure are mutated more often than those of data.
EDGES = st.sampled_from([0, 1, 2, 4, 8, 22, 26, 28, 30]) | st.integers(0, len(VALID) - 1)
MOST_BYTES = 64 * 1024


def verdict(content: bytes) -> bytes | None:
    """Return the converted file, None if the checkpoint is refused; fail on any other exception."""
    view = ConvertedFile(SOURCE, BytesFile(content))
    try:
        if view.size > MOST_BYTES:
            # `check_adapter` refuses more than 5 GiB before any of it is read.
            return b""
        read_header("otter", view)
        return bytes(view.read(0, view.size))
    except AdapterError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 3000
        return None


def test_the_valid_checkpoint_is_valid() -> None:
    assert verdict(VALID) == expected(VALID)


@given(st.lists(st.tuples(EDGES, st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=500)
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(VALID)
    for at, value in changes:
        content[at] = value
    verdict(bytes(content))


@given(st.integers(0, len(VALID)), st.integers(0, len(VALID)), st.binary(max_size=40))
@settings(max_examples=300)
def test_replaced_ranges_are_read_or_refused(start: int, end: int, between: bytes) -> None:
    verdict(VALID[:start] + between + VALID[end:])


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0x80, 0xFF])
def test_every_byte_may_be_any(value: int) -> None:
    for at in range(len(VALID)):
        verdict(VALID[:at] + bytes([value]) + VALID[at + 1 :])


OPERATIONS = st.sampled_from([operation.code.encode("latin-1") for operation in pickletools.opcodes])
NAMES = st.sampled_from(
    [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n",
     b"cos\nsystem\n", b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000", b"K\x04", b"(", b"t", b"}", b"u", b"Q", b"R"]
)  # fmt: skip


@given(st.lists(OPERATIONS | NAMES | st.binary(max_size=3), max_size=40))
@settings(max_examples=1000)
def test_any_sequence_of_operations_is_read_or_refused(parts: list[bytes]) -> None:
    for content in (b"".join(parts), b"".join(parts) + b"."):
        try:
            unpickle(content)
        except UnusableCheckpoint as error:
            assert str(error).isprintable()
        verdict(archive({"data.pkl": content, "data/0": bytes(16)}))


def integer(value: int) -> bytes:
    """Return the opcodes of an integer."""
    if value is True:
        return b"\x88"
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def tensor(count: Any, offset: Any, shape: list[Any], strides: list[Any], size: int) -> bytes:
    """Return a checkpoint with one tensor whose numbers may be anything."""
    reference = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    sides, steps = (b"(" + b"".join(map(integer, values)) + b"t" for values in (shape, strides))
    arguments = b"(" + reference + integer(count) + b"tQ" + integer(offset) + sides + steps + b"\x89}t"
    body = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."
    return checkpoint(body, _0=bytes(range(256))[:size])


SIDES = st.lists(st.integers(-1, 9) | NUMBERS, max_size=5)


@given(st.integers(0, 64) | NUMBERS, st.integers(-1, 70) | NUMBERS, SIDES, SIDES, st.integers(0, 64))
@settings(max_examples=1000)
def test_any_place_of_a_tensor_is_read_or_refused(
    count: int, offset: int, shape: list[int], strides: list[int], elements: int
) -> None:
    verdict(tensor(count, offset, shape, strides, 4 * elements))


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=4))
def test_a_tensor_is_converted_only_if_pytorch_can_make_it(offset: int, sides: list[tuple[int, int]]) -> None:
    shape, strides = [side for side, _ in sides], [stride for _, stride in sides]
    content = tensor(64, offset, shape, strides, 256)
    found = verdict(content)
    storage = torch.frombuffer(bytearray(range(256)), dtype=torch.float32)
    if found:
        made = torch.as_strided(storage, shape, strides, offset).contiguous().clone()
        data = made.view(torch.int32).numpy().tobytes() if made.dim() else made.numpy().tobytes()
        assert found.endswith(data)


def test_a_hollow_checkpoint_takes_little_memory_and_time() -> None:
    """A tensor of 4 GiB made of one element, and one that is as large as the file says."""
    content = tensor(64, 0, [2**20, 2**10], [0, 0], 256)
    gc.collect()
    tracemalloc.start()
    started = time.monotonic()
    try:
        view = ConvertedFile(SOURCE, BytesFile(content))
        with pytest.raises(AdapterError, match="in another order, over"):
            view.read(0, 8)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < SECONDS


def test_many_views_of_far_elements_are_refused() -> None:
    """Each would be read by a request for each of its elements."""
    stride = 4 * 2**20 // 2
    place = ZipMember("a/data/0", 0, 512 * 2**20, 512 * 2**20 + 100)
    pickled = PickledTensor(Storage("float16", "0", 256 * 2**20), "float16", 0, (128,), (stride,))
    with pytest.raises(UnusableCheckpoint, match="has tensors in another order, over .* bytes; save the"):
        find_tensors({str(number): pickled for number in range(1000)}, {"data/0": place})
    assert len(find_tensors({"one": pickled}, {"data/0": place})) == 1
