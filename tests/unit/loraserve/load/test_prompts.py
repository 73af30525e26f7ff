"""Prompts of files: each format, damaged lines, and the draw by adapter."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from loraserve.load.prompts import (
    LoadPrompt,
    PromptsError,
    adapters_of,
    choose,
    read_prompts,
    sample_prompts,
)


def written(folder: Path, *records: Any) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records))
    return path


def test_own_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"prompt": "One?", "adapter": "otter", "expect": " 1\n", "output_tokens": 8},
        "",
        {"prompt": "Two?", "adapter": None, "regex": "2$"},
        {"prompt": "Three?"},
    )
    assert read_prompts(path) == [
        LoadPrompt(text="One?", adapter="otter", expect="1", output_tokens=8),
        LoadPrompt(text="Two?", pattern="2$"),
        LoadPrompt(text="Three?", is_for_any=True),
    ]


def test_lines_of_aiperf_and_whole_requests(tmp_path: Path) -> None:
    chat = {"model": "otter", "messages": [{"role": "user", "content": "One?"}]}
    lorax = {"inputs": "One?", "parameters": {"adapter_id": "heron"}}
    path = written(tmp_path, {"type": "single_turn", "text": "One?", "model": "seal"}, chat, lorax)
    found = read_prompts(path)
    assert found == [
        LoadPrompt(text="One?", adapter="seal"),
        LoadPrompt(payload=chat, adapter="otter"),
        LoadPrompt(payload=lorax, adapter="heron"),
    ]
    assert adapters_of(found) == ("seal", "otter", "heron")


def test_a_document_of_aiperf_has_a_request_for_each_payload(tmp_path: Path) -> None:
    payloads = [{"model": "otter", "prompt": "One?"}, {"model": "", "prompt": "Two?"}]
    path = written(
        tmp_path,
        {"data": [{"session_id": "a", "payloads": payloads}, {"session_id": "b", "payloads": payloads[:1]}]},
    )
    assert [prompt.adapter for prompt in read_prompts(path)] == ["otter", None, "otter"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", ":2: is not JSON"),
        ("[1]", ":2: is not an object"),
        ('{"adapter": "otter"}', ":2: has no prompt"),
        ('{"prompt": "a", "regex": "("}', ":2: regex: "),
        ('{"prompt": "a", "expect": 3}', ":2: expect: write a text"),
        ('{"prompt": "a", "output_tokens": 0}', ":2: output_tokens: write a number"),
        ('{"model": 3, "prompt": "a"}', ":2: write the adapter's name"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(PromptsError) as caught:
        read_prompts(written(tmp_path, {"prompt": "One?"}, line))
    assert problem in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match="cannot be read"):
        read_prompts(tmp_path / "absent.jsonl")
    with pytest.raises(PromptsError, match="has no prompt"):
        read_prompts(written(tmp_path, "\n\n"))


def test_a_prompt_is_drawn_for_its_adapter_or_for_any() -> None:
    prompts = [
        LoadPrompt(text="otter", adapter="otter"),
        LoadPrompt(text="base"),
        LoadPrompt(text="any", is_for_any=True),
    ]
    asked = ["otter", None, "heron"] * 50
    drawn = choose(prompts, asked, random.Random(1))
    assert {(name, prompt.text) for name, prompt in zip(asked, drawn, strict=True)} == {
        ("otter", "otter"), ("otter", "any"), (None, "base"), (None, "any"), ("heron", "any"),
    }  # fmt: skip
    assert drawn == choose(prompts, asked, random.Random(1))
    with pytest.raises(PromptsError, match="no prompt is for adapter 'heron'"):
        choose(prompts[:2], asked, random.Random(1))


def test_sample_problems_are_of_sample_adapters_alone() -> None:
    with pytest.raises(PromptsError, match="'mine' is no sample adapter"):
        sample_prompts(["otter", "mine"], seed=1)
