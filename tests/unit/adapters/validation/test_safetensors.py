import json
import tracemalloc
from typing import Any

import pytest

from adapters.errors import InvalidAdapter
from adapters.validation.safetensors import MAX_HEADER_BYTES, MAX_TENSORS, Tensor, read_header
from tests.unit.adapters.validation.building import RecordingFile, safetensors

ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def read(content: bytes, size: int | None = None) -> dict[str, Tensor]:
    return read_header("otter", RecordingFile(content, size))


def test_a_header_tells_each_tensors_dtype_shape_and_place() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
        "a": ENTRY,
    }
    assert read(safetensors(header, 22)) == {
        "b": Tensor("BF16", (3,), 16, 22),
        "a": Tensor("F32", (2, 2), 0, 16),
    }


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("BOOL", [3], 3),
        ("F4", [2, 3], 3),
        ("F64", [], 8),
        ("I8", [0, 5], 0),
        ("F8_E4M3", [4], 4),
        ("C64", [1], 8),
    ],
)
def test_a_tensor_has_as_many_bytes_as_its_dtype_and_shape_say(
    dtype: str, shape: list[int], size: int
) -> None:
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
    assert read(safetensors({"t": entry}, size))["t"].shape == tuple(shape)
    with pytest.raises(InvalidAdapter, match="its shape does not fit its bytes"):
        read(safetensors({"t": entry | {"data_offsets": [0, size + 1]}}, size + 1))


def test_padding_after_header_is_part_of_it_and_space_before_it_is_not_minded() -> None:
    assert read(safetensors(json.dumps({"t": ENTRY}).encode() + b"   ", 16)).keys() == {"t"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "F31"}, r"at tensor 't': its dtype is 'F31'"),
        ({"dtype": ["F32"]}, "its dtype is a list"),
        ({"dtype": None}, "its dtype is null"),
        ({"shape": [2, -2]}, "its shape cannot be"),
        ({"shape": [2, 2.0]}, "its shape cannot be"),
        ({"shape": [True, 4]}, "its shape cannot be"),
        ({"shape": [2**63, 0]}, "its shape cannot be"),
        ({"shape": [10**4000] * 9}, "its shape cannot be"),
        ({"shape": [1] * 17}, "its shape cannot be"),
        ({"shape": 4}, "its shape cannot be"),
        ({"shape": [2, 3]}, "its shape does not fit its bytes"),
        ({"shape": [2**62, 2**62]}, "its shape does not fit its bytes"),
        ({"data_offsets": [16, 0]}, "its offsets cannot be"),
        ({"data_offsets": [0, 16, 16]}, "its offsets cannot be"),
        ({"data_offsets": [-16, 0]}, "its offsets cannot be"),
        ({"data_offsets": "0-16"}, "its offsets cannot be"),
        ({"data_offsets": [8, 24]}, "overlap or leave holes, at 't'"),
    ],
)
def test_an_entry_that_cannot_be_true_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        read(safetensors({"t": ENTRY | change}, 16))


@pytest.mark.parametrize("offsets", [[0, 16], [8, 24], [17, 33], [32, 48]])
def test_tensors_that_overlap_or_leave_holes_are_refused(offsets: list[int]) -> None:
    header = {"a": ENTRY, "b": ENTRY | {"data_offsets": offsets}}
    with pytest.raises(InvalidAdapter, match="overlap or leave holes, at 'b'"):
        read(safetensors(header, 48))


@pytest.mark.parametrize("size", [0, 15, 17, 10**6])
def test_a_file_that_ends_elsewhere_than_its_tensors_is_refused(size: int) -> None:
    with pytest.raises(
        InvalidAdapter, match=rf"has {size} bytes of tensors, its header describes 16; it was cut"
    ):
        read(safetensors({"t": ENTRY}, size))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[]", "it is not a JSON object"),
        (b"{}x", "it is not JSON"),
        (b'{"t": ', "it is not JSON"),
        (b'{"t": 1, "t": 1}', "line 1: 't' is there twice"),
        (b'{"t": {"shape": [], "shape": []}}', "line 1: 'shape' is there twice"),
        (b'{"\xff": 1}', "it is not UTF-8"),
        ('{"t": 1}'.encode("utf-16"), "it is not UTF-8"),
        (b'{"t":' * 50_000, "it is nested too deeply"),
        (b'{"t": ' + b"9" * 5000 + b"}", "it is not JSON"),
        (b'{"t": 1}', "at tensor 't'"),
        (b'{"t": null}', "at tensor 't'"),
        (b'{"\\ud800\\n": null}', r"at tensor '\\ud800\\n'"),
        (b'{"__metadata__": 1}', "__metadata__"),
        (b'{"__metadata__": {"a": {}}}', "__metadata__"),
    ],
)  # fmt: skip
def test_a_header_that_is_not_one_is_refused_with_its_reason(header: bytes, message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        read(safetensors(header))


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04\x00\x00\x08\x08data", b"\x80\x02}q\x00(X\x01\x00", b"\x80\x02\x8a\nl\xfc\x9cF"]
)
def test_a_pickle_under_the_safetensors_name_is_called_one(start: bytes) -> None:
    with pytest.raises(
        InvalidAdapter, match=r"PyTorch pickle.*runs its code; name the file adapter_model.bin"
    ):
        read(start + bytes(1000))


@pytest.mark.parametrize("length", [0x80, 0x4B50])
def test_a_header_whose_length_starts_like_a_pickle_is_none(length: int) -> None:
    assert read(safetensors(json.dumps({"t": ENTRY}).encode().ljust(length), 16)).keys() == {"t"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (b"\x02\0\0\0", "not a safetensors file"),
        (bytes(8) + b"{}", "not a safetensors file"),
        (b"\x01" + bytes(7) + b"{", "not a safetensors file"),
        (b"\x03" + bytes(7) + b"{}", "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "is a Git LFS pointer"),
        (b"GGUF\x03\0\0\0" + bytes(300), "its weights are a GGUF file"),
        (
            b"<!doctype html>\n<html><head>" + bytes(300),
            "its weights file is a web page; download the file itself",
        ),
    ],
)
def test_a_file_too_short_for_its_header_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        read(content)


@pytest.mark.parametrize("length", [MAX_HEADER_BYTES + 1, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("size", [20, 2**41, 2**65])
def test_a_header_longer_than_any_is_not_read(length: int, size: int) -> None:
    file = RecordingFile(length.to_bytes(8, "little"), size)
    with pytest.raises(InvalidAdapter, match="not a safetensors file|at most 10485760 are read"):
        read_header("otter", file)
    assert file.reads == [8]


def test_a_file_that_ends_before_its_size_says_is_refused() -> None:
    with pytest.raises(InvalidAdapter, match="ends within the header"):
        read(safetensors({"t": ENTRY})[:-4], 10**6)


def test_more_tensors_than_any_adapter_has_are_refused() -> None:
    many = b",".join(b'"%d":{}' % number for number in range(MAX_TENSORS + 2_000))
    with pytest.raises(InvalidAdapter, match="lists more than 100000 tensors"):
        read(safetensors(b"{" + many + b"}"))
    several = b",".join(b'"%d":0' % number for number in range(MAX_TENSORS + 1))
    with pytest.raises(InvalidAdapter, match="lists 100001 tensors"):
        read(safetensors(b"{" + several + b"}"))


@pytest.mark.parametrize(
    "unit", [b"[],", b"{},", b'"ab",', b"1.5,", b"1000,", b'{"a":[]},', b"9" * 4000 + b","]
)
def test_memory_stays_a_few_times_the_header_whatever_it_is_made_of(unit: bytes) -> None:
    header = b'{"t":[' + unit * ((MAX_HEADER_BYTES - 20) // len(unit)) + b"0]}"
    file = RecordingFile(safetensors(header))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidAdapter):
            read_header("otter", file)
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_HEADER_BYTES
    finally:
        tracemalloc.stop()
