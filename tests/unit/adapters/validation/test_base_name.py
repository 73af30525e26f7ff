"""The base model's name in an adapter's config: the names that pass, and the remedies for others."""

import dataclasses
from typing import Any

import pytest

from adapters.errors import InvalidAdapter
from adapters.validation.base_name import check_base_name
from adapters.validation.rules import Rules

BASE = "meta-llama/Llama-3.2-3B-Instruct"
RULES = Rules("vllm", 64, BASE)
REMEDY = (
    f"this stage serves {BASE!r}; if that is the same model by another name (a copy, also a quantized one, or a "
    "directory), add the name to base_model.also_known_as in the stage file: dimensions are checked all the same; "
    "if not, publish it to a stage with that base model"
)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (BASE, ()),
        # "repo ids are case insensitive across the Hub", huggingface/huggingface_hub#2090.
        ("meta-llama/llama-3.2-3b-instruct", ()),
        ("unsloth/llama-3.2-3b-instruct-bnb-4bit", ("unsloth/Llama-3.2-3B-Instruct-bnb-4bit",)),
        ("/opt/ml/model", ("./other", "/opt/ml/model")),
        (None, ("",)),
        ("", ("",)),
    ],
)
def test_a_name_of_the_base_model(name: Any, known: tuple[str, ...]) -> None:
    check_base_name("otter", name, dataclasses.replace(RULES, also_known_as=known))
    if known:
        with pytest.raises(InvalidAdapter):
            check_base_name("otter", name, RULES)


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("unsloth/llama-3.2-3b-instruct-bnb-4bit", f"it was trained on 'unsloth/llama-3.2-3b-instruct-bnb-4bit', {REMEDY}"),
        ("mistralai/Mistral-7B-Instruct-v0.1", REMEDY),
        ("/opt/ml/model", f"it was trained on '/opt/ml/model', {REMEDY}"),
        ("C:\\models\\llama", REMEDY),
        ("/root/.cache/huggingface/hub/models--meta-llama--Llama-3.2-3B/snapshots/" + "0" * 40, "0" * 40 + "'"),
        (None, "its config names no base model in base_model_name_or_path; write 'meta-llama/"),
        ("", 'add "" to base_model.also_known_as in the stage file'),
        (7, "base_model_name_or_path is 7; write the base model's name there"),
        ("x" * 999, "it was trained on 'x"),
    ],
)  # fmt: skip
def test_the_remedy_for_another_name(name: Any, reported: str) -> None:
    with pytest.raises(InvalidAdapter) as refused:
        check_base_name("otter", name, RULES)
    assert reported in str(refused.value)
    assert len(str(refused.value)) < 600


def test_other_names_are_other_rules() -> None:
    known = dataclasses.replace(RULES, also_known_as=("unsloth/Llama-3.2-3B-Instruct",))
    assert known.identity != RULES.identity
