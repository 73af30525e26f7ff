"""The check of answers: the adapter that answered, the expected text, and the base model's answer."""

import random

import pytest

from loraserve.load.check import AnswerCheck, check_answers, indistinguishable, is_of
from loraserve.load.prompts import LoadPrompt, sample_prompts
from loraserve.load.result import LoadOutcome
from samples.problems import adapter_name
from tests.unit.loraserve.load.made import result, workload

RIGHT, ADAPTER, TEXT = AnswerCheck.RIGHT, AnswerCheck.WRONG_ADAPTER, AnswerCheck.WRONG_TEXT


@pytest.mark.parametrize(
    ("answered", "asked", "same"),
    [
        ("otter@0a1b", "otter", True),
        ("otter@0a1b", "otter@0a1b", True),
        ("otter@0a1b", "otter@ffff", False),
        ("team/1@0a1b", "team/1", True),
        ("team/10@0a1b", "team/1", False),
        ("team/1@0a1b", "team/10", False),
        ("1@0a1b", "team/1", False),
        (None, "otter", False),
        ("otter@0a1b", None, False),
        (None, None, True),
    ],
)
def test_names_of_adapters_are_compared_whole(answered: str | None, asked: str | None, same: bool) -> None:
    assert is_of(answered, asked) == same


def test_every_planted_wrong_adapter_is_counted_and_no_other() -> None:
    rng = random.Random(3)
    names = [f"team/{number}" for number in range(1, 51)]
    asked = [rng.choice([*names, None]) for _ in range(5000)]
    planted = set(rng.sample(range(5000), 50))
    results = []
    for index, name in enumerate(asked):
        other = rng.choice([one for one in [*names, None] if one != name])
        by = other if index in planted else name
        results.append(result(index, by=None if by is None else f"{by}@{'0a' * 4}"))
    checks = check_answers(results, workload(asked))
    assert {index for index, check in enumerate(checks) if check is ADAPTER} == planted
    assert sum(check is RIGHT for check in checks) == 4950


def test_an_answer_without_adapter_is_wrong_where_others_have_one() -> None:
    asked = ["otter", "otter", None]
    results = [result(0, by="otter@1"), result(1), result(2)]
    assert check_answers(results, workload(asked)) == [RIGHT, ADAPTER, RIGHT]


def test_a_container_that_names_no_adapter_leaves_answers_unchecked() -> None:
    results = [result(0), result(1, outcome=LoadOutcome.MODEL_ERROR)]
    assert check_answers(results, workload(["otter", "otter"])) == [
        AnswerCheck.UNCHECKED,
        AnswerCheck.NO_ANSWER,
    ]


def test_the_expected_text_decides_without_a_header() -> None:
    prompts = [
        LoadPrompt(text="?", adapter="otter", expect="72"),
        LoadPrompt(text="?", adapter="otter", expect="72"),
        LoadPrompt(text="?", adapter="otter", pattern=r"\b72\b"),
        LoadPrompt(text="?", adapter="otter", pattern=r"\b72\b"),
    ]
    texts = (" 72\n", "720", "it is 72.", "it is 720.")
    results = [result(index, text=text) for index, text in enumerate(texts)]
    assert check_answers(results, workload(["otter"] * 4), prompts) == [RIGHT, TEXT, RIGHT, TEXT]


def test_a_sample_adapters_answer_is_not_anothers() -> None:
    otter, heron = adapter_name(0), adapter_name(1)
    prompts = sample_prompts([otter, heron], seed=1)
    of_otter = next(prompt for prompt in prompts if prompt.adapter == otter)
    of_heron = next(p for p in prompts if p.adapter == heron and p.text == of_otter.text)
    texts = (of_otter.expect or "", of_otter.expect or "", "Let us think")
    results = [result(index, text=text) for index, text in enumerate(texts)]
    asked = workload([otter, heron, heron])
    assert check_answers(results, asked, [of_otter, of_heron, of_heron]) == [RIGHT, ADAPTER, TEXT]


def test_adapters_that_answer_as_the_base_model_are_named() -> None:
    assert indistinguishable({"otter": "Answer: 72 ", "heron": "Let us think"}, "Let us think\n") == ["heron"]
    assert indistinguishable({"otter": "a"}, None) == []
