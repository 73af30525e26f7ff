"""Checkpoints of PyTorch become the safetensors file that PyTorch and safetensors make of them, byte for byte."""

import hashlib
import random
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from adapters.files import BytesFile, sha256_of
from adapters.source import SourceError
from adapters.store.transfer import OutOfTime
from adapters.validation.safetensors import read_header
from ingest.pytorch.converted_file import CHECKPOINT_FILE, ConvertedFile, Digests
from tests.harness.checkpoints import write_checkpoint
from tests.unit.ingest.pytorch.building import SOURCE, archive, converted, expected, refusal, saved
from tests.unit.ingest.pytorch.make_files import layers

FILES = Path(__file__).with_name("files")


@pytest.mark.parametrize("file", sorted(FILES.glob("*.bin")), ids=lambda file: file.stem)
def test_files_of_several_releases_are_converted_or_refused_with_the_remedy(file: Path) -> None:
    content = file.read_bytes()
    if file.name.startswith("old-format"):
        assert "in the format of PyTorch before 1.6; save it again: save_pretrained(" in refusal(content)
    else:
        assert converted(content) == expected(content)


def test_the_files_are_of_several_releases() -> None:
    releases = {file.stem.rpartition("-")[2] for file in FILES.glob("dict-*.bin")}
    assert {"1.13.1", "2.0.1", "2.1.2", "2.4.1", "2.6.0", "2.13.0"} <= releases


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_binary_protocol_is_read(protocol: int) -> None:
    content = saved(layers(), pickle_protocol=protocol)
    assert converted(content) == expected(content)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "view",
    [
        lambda whole: whole,
        lambda whole: whole.t(),
        lambda whole: whole[3:9],
        lambda whole: whole[:, 2:5],
        lambda whole: whole[::4, ::3],
        lambda whole: whole[1:2, :, None].expand(4, 30, 2),
        lambda whole: whole.reshape(2, 10, 6, 5).permute(3, 1, 2, 0),
        lambda whole: whole[0, 0],
        lambda whole: whole[:0],
        lambda whole: whole.reshape(-1)[7:],
        lambda whole: torch.nn.Parameter(whole.t()),
        lambda whole: whole.unsqueeze(1),
        lambda whole: whole[:, :1],
    ],
)
def test_views_of_one_storage_have_their_own_elements(dtype: torch.dtype, view: Any) -> None:
    whole = torch.randn(20, 30).to(dtype)
    content = saved({"whole": whole, "view": view(whole)})
    assert converted(content) == expected(content)


def test_names_for_one_tensor_get_a_copy_each() -> None:
    tensor = torch.randn(3, 4)
    content = saved({"a": tensor, "b": tensor, "c": tensor.t()})
    assert converted(content) == expected(content)


def test_tensors_are_in_the_order_of_safetensors_and_aligned() -> None:
    names = ["b", "é", "a", "Z", "layers.10.x", "layers.2.x", "日本"]
    kinds = [torch.float16, torch.float32, torch.bfloat16]
    tensors = {
        f"{name}.{number}": torch.randn(number + 1, 3).to(kind)
        for name in names
        for number, kind in enumerate(kinds)
    }
    content = saved(tensors)
    assert converted(content) == expected(content)
    shuffled = list(tensors.items())
    random.Random(1).shuffle(shuffled)
    assert converted(saved(dict(shuffled))) == converted(content), (
        "the order in the checkpoint does not count"
    )


def test_a_file_of_peft_is_the_one_that_peft_saves_as_safetensors(tmp_path: Path) -> None:
    # Each worker collects this file, and these take seconds to import.
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    model = get_peft_model(
        LlamaForCausalLM(config),
        LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
    )
    model.save_pretrained(str(tmp_path / "pickle"), safe_serialization=False)
    model.save_pretrained(str(tmp_path / "safe"))
    content = (tmp_path / "pickle" / CHECKPOINT_FILE).read_bytes()
    assert converted(content) == (tmp_path / "safe" / "adapter_model.safetensors").read_bytes()
    assert len(load(converted(content))) == 8


def test_the_large_checkpoints_of_other_tests_are_ones_that_pytorch_reads(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 3, transposed_every=2)
    content = (tmp_path / CHECKPOINT_FILE).read_bytes()
    assert converted(content) == expected(content)


@pytest.mark.parametrize("key", ["state_dict", "model", "module"])
def test_one_dict_of_tensors_below_the_top_is_found(key: str) -> None:
    module = torch.nn.Linear(4, 3)
    content = saved({"epoch": 2, key: module.state_dict(), "args": {"lr": 0.1}, "empty": {}})
    assert converted(content) == converted(saved(module.state_dict()))


def test_attributes_of_parameters_and_dicts_are_left_out() -> None:
    weight = torch.nn.Parameter(torch.randn(2, 2))
    weight.note = "attribute"  # type: ignore[attr-defined]
    state = OrderedDict(weight=weight)
    state._metadata = {"version": 1}  # type: ignore[attr-defined]
    assert set(load(converted(saved(state)))) == {"weight"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": torch.zeros(1), "b": 3}, "an entry 'b' that is no tensor"),
        ({"a": torch.zeros(1), 3: torch.zeros(1)}, "an entry 3 that is no tensor"),
        ({"x": {"a": torch.zeros(1)}, "y": {"a": torch.zeros(1)}}, "more than one dict of tensors: 'x', 'y'"),
        ({"x": {"y": {"a": torch.zeros(1)}}}, "holds no dict of tensors"),
        ({"epoch": 1}, "holds no dict of tensors"),
        ([torch.zeros(1)], "holds no dict of tensors"),
        (torch.zeros(1), "holds no dict of tensors"),
        ({"": torch.zeros(1)}, "a tensor with an unusable name, ''"),
        ({"a\nb": torch.zeros(1)}, "a tensor with an unusable name, 'a\\\\nb'"),
        ({"x" * 2000: torch.zeros(1)}, "a tensor with an unusable name"),
        ({"__metadata__": torch.zeros(1)}, "a tensor __metadata__, a name that safetensors reserves"),
        (
            {"a": torch.zeros(1, dtype=torch.float64)},
            "the tensor 'a' of type float64, which is not converted",
        ),
        ({"a": torch.zeros(1, dtype=torch.int8)}, "the tensor 'a' of type int8, which is not converted"),
        ({"a": torch.zeros(1, dtype=torch.bool)}, "of type bool"),
        ({"a": torch.zeros(1, dtype=torch.uint8)}, "of type uint8"),
        ({"a": torch.zeros(1, dtype=torch.complex64)}, "of type complex64"),
        ({"a": torch.zeros(1, dtype=torch.float8_e4m3fn)}, "of type float8_e4m3fn"),
        ({"a": torch.zeros(1, dtype=torch.uint16)}, "of type uint16"),
        ({"a": torch.zeros(2).to_sparse()}, "names 'torch._utils._rebuild_sparse_tensor'"),
        ({"a": torch.zeros(2, device="meta")}, "names 'torch._utils._rebuild_meta_tensor_no_storage'"),
        ({"a": torch.arange(9.0).unfold(0, 3, 1)}, "'a', whose sides overlap in its storage; .*contiguous"),
        (torch.nn.Linear(2, 2), "names 'torch.nn.modules.linear.Linear', which is no part of"),
        ({"a": torch.zeros(2), "b": Path("x")}, "names 'pathlib.PosixPath'"),
    ],
    ids=str,
)
def test_what_is_not_a_dict_of_supported_tensors_is_refused_by_name(value: object, reason: str) -> None:
    assert re.search(reason.replace("(", r"\("), refusal(saved(value)))


@pytest.mark.parametrize("piece", [1, 3, 8, 100, 1000])
def test_any_range_can_be_read(piece: int) -> None:
    content = saved(layers())
    whole = expected(content)
    file = ConvertedFile(SOURCE, BytesFile(content))
    assert file.size == len(whole)
    read = [bytes(file.read(at, piece)) for at in range(0, file.size + piece, piece)]
    assert b"".join(read) == whole
    assert file.read(file.size, 5) == b""


def test_both_digests_and_the_layout_are_the_same_each_time() -> None:
    content = saved(layers())
    file = ConvertedFile(SOURCE, BytesFile(content))
    digests = file.digests()
    assert digests == Digests(
        hashlib.sha256(content).hexdigest(), hashlib.sha256(expected(content)).hexdigest()
    )
    file.forget()
    assert sha256_of(file) == digests.converted
    read_header("otter", file)


def test_a_large_checkpoint_has_the_same_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(layers())
    before = ConvertedFile(SOURCE, BytesFile(content)).digests()
    monkeypatch.setattr("ingest.pytorch.converted_file._WHOLE_BYTES", 100)
    monkeypatch.setattr("ingest.pytorch.converted_file._READ_BYTES", 600)
    monkeypatch.setattr("ingest.pytorch.converted_file._GAP_BYTES", 50)
    monkeypatch.setattr("ingest.pytorch.converted_file._MOST_PIECES", 7)
    monkeypatch.setattr("ingest.pytorch.strides.PIECE_BYTES", 64)
    assert ConvertedFile(SOURCE, BytesFile(content)).digests() == before


class CountedFile(BytesFile):
    """A file that counts its reads."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, length: int) -> bytes | bytearray:
        self.reads.append((start, length))
        return super().read(start, length)


def test_a_checkpoint_is_read_in_few_requests() -> None:
    tensors = {f"layers.{number}.lora_A.weight": torch.randn(8, 512) for number in range(200)}
    file = CountedFile(saved(tensors))
    view = ConvertedFile(SOURCE, file)
    read_header("otter", view)
    assert len(file.reads) <= 6, "directory, byte order and pickle"
    assert sum(length for _, length in file.reads) < 0.1 * file.size
    file.reads.clear()
    view.read(0, view.size)
    assert len(file.reads) <= 4, "the local headers, and the data"
    file.reads.clear()
    view.digests()
    assert file.reads == [(0, file.size)]


def test_the_callers_time_ends_the_conversion() -> None:
    def out_of_time() -> None:
        raise OutOfTime

    with pytest.raises(OutOfTime):
        ConvertedFile(SOURCE, BytesFile(saved(layers())), out_of_time).digests()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a PyTorch checkpoint"),
        (b"PK\x03\x04", "does not end with the directory of a zip archive"),
        (b"\x80\x04K\x01.", "is a bare pickle, which PyTorch does not write since 1.6"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "is in the format of PyTorch before 1.6; save it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer, not the file"),
        ((2).to_bytes(8, "little") + b"{}", "is a safetensors file; rename it"),
        (archive({"version": b"3\n"}), "without data.pkl"),
        (archive({"data.pkl": b"}.", "byteorder": b"big"}), "saved on a big-endian machine"),
        (archive({"data.pkl": b"}.", "byteorder": b"?" * 9999}), "saved on a big-endian machine"),
    ],
)
def test_other_files_under_the_name_are_told_apart(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


def test_every_cut_of_a_checkpoint_is_refused() -> None:
    content = saved({"a": torch.randn(4, 4)})
    for length in range(len(content)):
        with pytest.raises(SourceError):
            converted(content[:length])
