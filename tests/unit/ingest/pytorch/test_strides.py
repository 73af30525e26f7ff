"""Any range of any strided tensor is copied as PyTorch copies it, with few and small reads."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ingest.pytorch import strides as module
from ingest.pytorch.strides import pieces

ITEMS = {2: torch.int16, 4: torch.int32}


def copied(tensor: torch.Tensor, start: int, end: int) -> tuple[bytes, list[int]]:
    """Return the elements `start` … `end` by pieces of the tensor's storage, and the length of each piece."""
    item = tensor.element_size()
    base = tensor.storage_offset() * item
    whole = torch.tensor([], dtype=torch.uint8).set_(tensor.untyped_storage())  # type: ignore[call-overload]
    storage = memoryview(whole.numpy())[base:]
    target, lengths = bytearray(b"\xee" * ((end - start) * item)), []
    for piece in pieces(tuple(tensor.shape), tensor.stride(), item, start, end):
        source = storage[piece.source : piece.source + piece.length]
        assert len(source) == piece.length, "within the storage"
        piece.copy(source, memoryview(target)[piece.target - start * item :], item)
        lengths.append(piece.length)
    return bytes(target), lengths


@st.composite
def views(draw: Any) -> torch.Tensor:
    """Draw a tensor made by slicing, transposing and expanding another one."""
    item = draw(st.sampled_from([2, 4]))
    shape = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    count = 1
    for side in shape:
        count *= side
    tensor = torch.arange(count, dtype=ITEMS[item]).reshape(shape)
    for dimension in range(tensor.dim()):
        step = draw(st.integers(1, 3))
        first = draw(st.integers(0, tensor.shape[dimension] - 1))
        tensor = tensor[(slice(None),) * dimension + (slice(first, None, step),)]
    tensor = tensor.permute(draw(st.permutations(range(tensor.dim()))))
    if draw(st.booleans()):
        at = draw(st.integers(0, tensor.dim()))
        tensor = tensor.unsqueeze(at)
        tensor = tensor.expand(*(draw(st.integers(1, 4)) if i == at else -1 for i in range(tensor.dim())))
    return tensor


@given(views(), st.data(), st.sampled_from([8, 16, 64, 4096]))
def test_any_range_of_any_view_is_copied(tensor: torch.Tensor, data: Any, piece_bytes: int) -> None:
    start = data.draw(st.integers(0, tensor.numel()))
    end = data.draw(st.integers(start, tensor.numel()))
    before = module.PIECE_BYTES
    module.PIECE_BYTES = piece_bytes
    try:
        found, lengths = copied(tensor, start, end)
    finally:
        module.PIECE_BYTES = before
    flat = tensor.contiguous().reshape(-1)[start:end].clone()
    assert found == flat.numpy().tobytes()
    assert all(length <= piece_bytes for length in lengths)


@pytest.mark.parametrize(
    ("tensor", "most"),
    [
        (torch.zeros(1000, 1000, dtype=torch.int32), 1),
        (torch.zeros(1000, 1000, dtype=torch.int32).t(), 1),
        (torch.zeros(4096, 4096, dtype=torch.int16).t(), 8),
        (torch.zeros(8, 500_000, dtype=torch.int32).t(), 8),
    ],
)
def test_pieces_are_as_few_as_their_bytes_allow(tensor: torch.Tensor, most: int) -> None:
    assert len(copied(tensor, 0, tensor.numel())[1]) <= most
