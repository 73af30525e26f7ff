"""Refusals of adapters whose remedy is in the stage file: the remedy is followed, and the check repeated."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.engines.record import FEATURES
from adapters.engines.registry import ENGINES
from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.source import HubSource, LocalSource, S3Source
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from ingest.adapter_files import AdapterFiles
from ingest.candidate import check_candidate
from tests.unit.adapters.validation.building import BASE, CONFIG, RecordingFile, shapes, tensors

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"
RANKS = st.sampled_from([1, 4, 8, 12, 16, 64, 100, 128, 256, 320, 512, 600])
MODULES = st.sets(st.sampled_from(["q_proj", "v_proj", "o_proj"]), min_size=1)
SETTINGS = st.dictionaries(
    st.sampled_from([feature for feature in FEATURES if not feature.endswith("_pattern")]),
    st.just(True) | st.none(),
    max_size=2,
)
RULES = st.builds(
    Rules,
    st.sampled_from(sorted(ENGINES)),
    st.sampled_from([4, 8, 16, 64, 128, 200, 512]),
    st.just("tiny-mistral"),
    st.none() | MODULES.map(lambda modules: tuple(sorted(modules))),
    st.sampled_from([1, 2, 4, 8]),
)


def refusal(config: dict[str, Any], content: bytes, rules: Rules) -> InvalidAdapter | None:
    try:
        check_adapter("otter", json.dumps(config).encode(), RecordingFile(content), rules, BASE)
    except InvalidAdapter as error:
        assert str(error).isprintable()
        assert re.search(r"\b(None|True|False)\b", str(error)) is None, str(error)
        return error
    return None


@settings(max_examples=400, deadline=None)
@given(RULES, RANKS, MODULES, SETTINGS, st.sampled_from([range(2), range(1)]))
def test_a_remedy_in_the_stage_file_is_one_that_serves_the_adapter(
    rules: Rules, rank: int, modules: set[str], features: dict[str, Any], layers: range
) -> None:
    config = CONFIG | {"r": rank, "target_modules": sorted(modules)} | features
    content = tensors(shapes(rank, sorted(modules), layers))
    error = refusal(config, content, rules)
    if error is None:
        return
    for name, max_rank in re.findall(
        r"engine\.name: (\w+)(?: with engine\.max_adapter_rank: (\d+))?", error.remedy
    ):
        other = replace(rules, engine=name, target_modules=None, max_rank=int(max_rank or rules.max_rank))
        assert refusal(config, content, other) is None, str(error)
    if raised := re.match(r"write engine\.max_adapter_rank: (\d+)", error.remedy):
        after = refusal(config, content, replace(rules, max_rank=int(raised[1])))
        assert int(raised[1]) <= rules.engine_rules.max_rank
        assert after is None or "rank" not in after.problem, str(after)
    if added := re.search(r"add (.*?) to engine\.adapter_target_modules", error.remedy):
        slots = (*(rules.target_modules or ()), *added[1].split(", "))
        assert refusal(config, content, replace(rules, target_modules=slots)) is None, str(error)
    if trained := re.search(r"train with rank (\d+(?: or \d+)*)( or lower)?", error.remedy):
        with_key = re.search(r"and write engine\.max_adapter_rank: (\d+)", error.remedy)
        changed = replace(rules, max_rank=int(with_key[1])) if with_key else rules
        for lower in map(int, trained[1].split(" or ")):
            after = refusal(config | {"r": lower}, tensors(shapes(lower, sorted(modules), layers)), changed)
            assert after is None or "rank" not in after.problem, str(after)
    for other_name in ENGINES.keys() - {rules.engine}:
        other = replace(rules, engine=other_name, target_modules=None, max_rank=512)
        if refusal(config, content, replace(other, max_rank=ENGINES[other_name].max_rank)) is None:
            # Unless the stage's own keys are enough.
            own = replace(rules, target_modules=None, max_rank=rules.engine_rules.max_rank)
            is_served = refusal(config, content, own) is None
            assert is_served != (f"engine.name: {other_name}" in error.remedy), str(error)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"peft_type": None}, "peft_type is null"),
        ({"r": True}, "r is true"),
        ({"lora_alpha": None}, "lora_alpha is null"),
        ({"target_modules": []}, "target_modules is an empty list"),
        ({"rank_pattern": {"q_proj": None}}, "rank_pattern of 'q_proj' is null"),
    ],
)
def test_a_value_is_named_as_the_file_has_it(change: dict[str, Any], problem: str) -> None:
    error = refusal(CONFIG | change, tensors(shapes()), Rules("vllm", 64, "tiny-mistral"))
    assert error is not None
    assert error.problem == problem


@pytest.mark.parametrize("key", ["r", "lora_alpha", "target_modules"])
def test_a_missing_key_is_not_one_that_is_null(key: str) -> None:
    config = {name: value for name, value in CONFIG.items() if name != key}
    error = refusal(config, tensors(shapes()), Rules("vllm", 64, "tiny-mistral"))
    assert error is not None
    assert error.problem.startswith(f"{key} is missing")


@pytest.mark.parametrize(
    "source", [HubSource("org/repo", "0a" * 20), S3Source("bucket", "prefix/"), LocalSource("adapters/a")]
)
def test_a_remedy_in_files_that_the_reader_may_not_own_has_an_alternative(
    source: HubSource | S3Source | LocalSource,
) -> None:
    config = json.dumps(CONFIG | {"rank_pattern": {"^(a+)+$": 8}}).encode()
    files = AdapterFiles(str(source), "", config, RecordingFile(tensors(shapes())), None)
    with pytest.raises(InvalidFiles) as caught:
        check_candidate("otter", files, Rules("vllm", 64, "tiny-mistral"), BASE, None)
    assert ("in a copy" in caught.value.remedy) == (not isinstance(source, LocalSource))


@pytest.mark.parametrize("content", [POINTER, b"GGUF" + b"x" * 99, b"<!doctype html>" + b"x" * 99])
def test_weights_of_no_engine_are_read_for_one_alone(content: bytes) -> None:
    file = RecordingFile(content)
    with pytest.raises(InvalidFiles):
        check_adapter("otter", json.dumps(CONFIG).encode(), file, Rules("vllm", 64, "tiny-mistral"), BASE)
    assert len(file.reads) <= 2


def test_a_key_that_is_there_twice_has_one_remedy() -> None:
    config = json.dumps(CONFIG).replace("{", '{"r": 8, ', 1).encode()
    with pytest.raises(InvalidFiles) as caught:
        check_adapter(
            "otter", config, RecordingFile(tensors(shapes())), Rules("vllm", 64, "tiny-mistral"), BASE
        )
    assert caught.value.remedy == "keep one of them"


def test_another_training_is_not_proposed_for_a_copy() -> None:
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"
    weights = RecordingFile(tensors(shapes() | {key: (8,)}))
    files = AdapterFiles(f"hf://org/repo@{'0a' * 20}", "", json.dumps(CONFIG).encode(), weights, None)
    with pytest.raises(InvalidFiles) as caught:
        check_candidate("otter", files, Rules("vllm", 64, "tiny-mistral"), BASE, None)
    assert caught.value.remedy == "train without use_dora"
