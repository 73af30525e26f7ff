import json

import pytest

from adapters import git_lfs
from adapters.errors import InvalidAdapter
from adapters.files import BytesFile
from adapters.source import SourceError
from adapters.validation.base_model import BaseModelFacts, InvalidBaseModel
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from ingest.pytorch.converted_file import ConvertedFile
from tests.unit.adapters.validation.building import CONFIG, RecordingFile, shapes, tensors

#: The example of git-lfs, docs/spec.md.
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)
SAID = r"is a Git LFS pointer, not the file itself; run `git lfs install` and `git lfs pull` in the clone"


def test_pointers() -> None:
    assert git_lfs.is_pointer(POINTER)
    assert git_lfs.is_pointer(POINTER.replace(b"\n", b"\r\n")), "checked out by Git for Windows"
    assert git_lfs.is_pointer(POINTER.replace(b"git-lfs", b"hawser")), "of git-lfs's first releases"
    for other in (b"", b"{}", POINTER[1:], POINTER[:20], POINTER + bytes(1024)):
        assert not git_lfs.is_pointer(other)
        assert not git_lfs.has_pointer(BytesFile(other))


def test_only_a_file_that_is_small_enough_is_read() -> None:
    large = RecordingFile(POINTER, size=5_000_000)
    assert not git_lfs.has_pointer(large)
    assert large.reads == []


@pytest.mark.parametrize("file", ["config", "weights", "checkpoint"])
def test_a_pointer_in_place_of_a_file_of_an_adapter(file: str) -> None:
    config = POINTER if file == "config" else json.dumps(CONFIG).encode()
    weights = tensors(shapes()) if file == "config" else POINTER
    readable = BytesFile(weights)
    given = ConvertedFile("s3://bucket/otter/", readable) if file == "checkpoint" else readable
    with pytest.raises((InvalidAdapter, SourceError), match=SAID):
        check_adapter("otter", config, given, Rules("vllm", 64, "tiny-mistral"))


@pytest.mark.parametrize("file", ["config", "weights"])
def test_a_pointer_in_place_of_a_file_of_a_base_model(file: str) -> None:
    config = POINTER if file == "config" else b'{"architectures": ["MistralForCausalLM"]}'
    with pytest.raises(InvalidBaseModel, match=SAID):
        BaseModelFacts.read("tiny-mistral", config, [BytesFile(POINTER)])
