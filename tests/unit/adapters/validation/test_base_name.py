"""The base model's name in an adapter's config: the names that pass, and the remedies for others."""

import dataclasses
from typing import Any

import pytest

from adapters.errors import InvalidAdapter
from adapters.validation.base_name import check_base_name
from adapters.validation.rules import Rules

BASE = "meta-llama/Llama-3.2-3B-Instruct"
RULES = Rules("vllm", 64, BASE)
COPY = "is a quantized or re-uploaded copy of it, add the name to base_model.also_known_as in the stage file"
DIRECTORY = "is a directory with the same model, add the name to base_model.also_known_as in the stage file"
ONLY_PUBLISH = f"this stage serves {BASE!r}; publish it to a stage with that base model"


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
        ("unsloth/llama-3.2-3b-instruct-bnb-4bit", COPY),
        ("unsloth/Llama-3.2-3B-Instruct", COPY),
        ("acme/Meta_Llama-3.2-3B-Instruct-GPTQ", COPY),
        ("acme/llama-3.2", COPY),
        ("mistralai/Mistral-7B-Instruct-v0.1", ONLY_PUBLISH),
        ("meta-llama/Llama-3.1-8B-Instruct", ONLY_PUBLISH),
        ("/opt/ml/model", DIRECTORY),
        ("./llama", DIRECTORY),
        ("~/models/llama", DIRECTORY),
        ("C:\\models\\llama", DIRECTORY),
        ("merged", DIRECTORY),
        ("/root/.cache/huggingface/hub/models--meta-llama--Llama-3.2-3B/snapshots/" + "0" * 40, "0" * 40 + "'"),
        (None, "its config names no base model (base_model_name_or_path is null); write 'meta-llama/"),
        ("", '(base_model_name_or_path is empty); write'),
        ("", 'add "" to base_model.also_known_as in the stage file'),
        (7, "base_model_name_or_path is 7; it must be the base model's name"),
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
