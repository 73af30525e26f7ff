"""The messages about a repository or a directory without adapter, which say what it has instead."""

from pathlib import Path

import pytest

from adapters.source import HubSource, SourceError, parse_source
from ingest.local_directory import read_directory
from ingest.missing_adapter import missing_on_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def adapters_in(*folders: str, weights: str = ADAPTER[1]) -> list[str]:
    return [f"{folder}/{file}" for folder in folders for file in (ADAPTER[0], weights)]


#: By kind: the files of a place, and a part of the message; `…` is the place.
CASES: dict[str, tuple[list[str], str]] = {
    "one folder": (
        ["README.md", *adapters_in("checkpoint-500", weights="adapter_model.bin")],
        "has no adapter_config.json; a folder has an adapter: checkpoint-500; name it, as …checkpoint-500",
    ),
    "several folders": (
        adapters_in("en", "de", "runs/last"),
        "has no adapter_config.json; 3 folders have an adapter: de, en, runs/last; name one of them, as …de",
    ),
    "many folders": (
        adapters_in(*(f"l{number}" for number in range(9))),
        "9 folders have an adapter: l0, l1, l2, l3, l4 and 4 more; name one of them, as …l0",
    ),
    "config in one place, weights in another": (
        ["adapter_config.json", "checkpoint/adapter_model.safetensors"],
        "has no adapter_model.safetensors and no adapter_model.bin; it has adapter_config.json, checkpoint/",
    ),
    "archive": (["output/model.tar.gz"], "but the archive output/model.tar.gz; unpack it"),
    "whole model": (
        ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json"],
        "it is a whole model, not an adapter; save the adapter with PEFT's save_pretrained before it is merged",
    ),
    "old whole model": (["pytorch_model.bin"], "it is a whole model, not an adapter"),
    "llama.cpp": (["lora-q8_0.gguf"], "a GGUF file, which llama.cpp alone reads"),
    "mlx": (
        ["adapter_config.json", "adapters.safetensors"],
        "it has adapter_config.json, adapters.safetensors; save the adapter with PEFT's save_pretrained",
    ),
    "nothing": ([], "has no adapter_config.json; it has no files"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "reported"), CASES.values(), ids=CASES)
def test_a_repository_without_adapter(files: list[str], reported: str) -> None:
    error = str(missing_on_hub(HubSource("acme/summaries", COMMIT), files))
    assert reported.replace("…", "hf://acme/summaries/") in error


@pytest.mark.parametrize(("files", "reported"), CASES.values(), ids=CASES)
def test_a_directory_without_adapter(tmp_path: Path, files: list[str], reported: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(SourceError) as refused:
        read_directory("../summaries", tmp_path)
    assert reported.replace("…", "../summaries/") in str(refused.value)


def test_a_folder_that_is_not_there() -> None:
    source = HubSource("acme/summaries", COMMIT, "fr")
    assert str(missing_on_hub(source, adapters_in("en", "de"))).endswith(
        "the repository has no folder 'fr'; 2 folders have an adapter: de, en; name one of them, as "
        f"hf://acme/summaries/de@{COMMIT}"
    )


def test_a_folder_with_folders_inside() -> None:
    source = HubSource("acme/summaries", COMMIT, "en")
    files = adapters_in("de", "en/checkpoint-500", "en/checkpoint-1000")
    error = str(missing_on_hub(source, files))
    assert "2 folders have an adapter: checkpoint-1000, checkpoint-500; name one of them" in error
    assert f"as hf://acme/summaries/en/checkpoint-1000@{COMMIT}" in error


@pytest.mark.parametrize("folder", ["team@5", "a\\b", "a b", "%2e"])
def test_the_folder_that_is_proposed_is_one(folder: str) -> None:
    error = missing_on_hub(HubSource("acme/summaries", COMMIT), adapters_in(folder))
    proposed = error.remedy.removeprefix("name it, as ")
    assert parse_source(proposed) == HubSource("acme/summaries", COMMIT, folder)


def test_a_file_named_as_a_folder() -> None:
    source = HubSource("acme/summaries", COMMIT, "en/adapter_config.json")
    assert str(missing_on_hub(source, adapters_in("en"))).endswith(
        f"'en/adapter_config.json' is a file; name its folder: hf://acme/summaries/en@{COMMIT}"
    )


@pytest.mark.parametrize(
    ("path", "reported"),
    [
        ("nowhere", "there is no such directory; check the path"),
        ("acme/summaries", "check the path; a repository of the Hub is written hf://acme/summaries@<commit>"),
        ("acme/summaries.git", "there is no such directory; check the path"),
        (f"acme/summaries@{COMMIT}", f"is written hf://acme/summaries@{COMMIT}"),
        ("here/adapter_config.json", "it is a file, not a directory; name its directory: here"),
        ("here/model.tar.gz", "unpack it with `mkdir here/model && tar -xzf here/model.tar.gz -C here/model`"),
    ],
)  # fmt: skip
def test_a_path_that_is_no_directory(tmp_path: Path, path: str, reported: str) -> None:
    (tmp_path / "here").mkdir()
    for file in ("adapter_config.json", "model.tar.gz"):
        (tmp_path / "here" / file).touch()
    with pytest.raises(SourceError) as refused:
        read_directory(path, tmp_path / path)
    assert reported in str(refused.value)
