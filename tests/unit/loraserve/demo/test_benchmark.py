"""Rounds of the demo, against an endpoint whose answers and speed are known."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loraserve.demo import benchmark
from loraserve.demo.questions import Question
from loraserve.load.job import LoadRun
from stacks.project import ROOT
from tests.unit.loraserve.demo.runs import ADAPTERS, answered, failed, run_of


def test_rounds_go_back_and_forth_over_all_scenarios(measured: Any) -> None:
    _, endpoint, _, _ = measured
    first = [(0, True), (1, True), (50, True), (1, False), (50, False)]
    assert endpoint.asked == (first + first[::-1]) * (benchmark.ROUNDS // 2)


def test_ratios_are_of_equal_work_first_and_of_both_figures(measured: Any) -> None:
    document, _, printed, _ = measured
    ratios = {name: ratio["ratio"] for name, ratio in document["ratios"].items()}
    assert ratios == pytest.approx(
        {
            "fifty_to_one": 0.8,
            "one_to_base": 0.5,
            "own_length_fifty_to_one_tokens": 0.8,
            "own_length_fifty_to_one_requests": 0.8,
        }
    )
    assert printed.index("equal work") < printed.index("own length: the model")
    assert "50 adapters ÷ one, output tokens/s: 0.80 (0.80 to 0.80)" in printed
    assert "25% of a core" in printed


def test_the_document_has_medians_and_each_round(measured: Any) -> None:
    document, _, _, _ = measured
    equal = json.loads(json.dumps(document))["equal_work"]
    assert list(equal["medians"]) == ["base model", "one adapter", "random over 50"]
    assert equal["medians"]["one adapter"]["tokens_per_s"] == pytest.approx(48 / 0.02)
    assert [len(rounds) for rounds in equal["rounds"].values()] == [benchmark.ROUNDS] * 3
    assert benchmark.problem_of(document) is None


def test_the_picture_is_drawn(measured: Any) -> None:
    assert measured[3].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("errors", 1, "1 errors"),
        ("wrong_adapter", 1, "1 answers of a wrong adapter"),
        ("wrong_length", 2, "2 of 240 answers do not have 48 tokens"),
        ("wrong_answer", 8, "8 of 240 answers are wrong"),
    ],
)
def test_wrong_answers_fail_the_demo(measured: Any, field: str, value: int, problem: str) -> None:
    document = json.loads(json.dumps(measured[0]))
    document["equal_work"]["medians"]["one adapter"][field] = value
    found = benchmark.problem_of(document)
    assert found is not None
    assert found.startswith("one adapter: ")
    assert problem in found


def test_the_sample_models_mistakes_do_not_fail_the_demo(measured: Any) -> None:
    scores = json.loads((ROOT / "samples" / "scores.json").read_text())["adapters"].values()
    wrong = max(1 - score["right_answer"] / score["of"] for score in scores)
    document = json.loads(json.dumps(measured[0]))
    for figures in document["equal_work"]["medians"].values():
        figures["wrong_answer"] = wrong * benchmark.ROUNDS * figures["requests"]
    assert benchmark.problem_of(document) is None


def test_an_endpoint_that_answers_nothing_is_reported_not_divided_by(tmp_path: Path) -> None:
    def down(questions: Sequence[Question], *_: Any) -> LoadRun:
        adapted = [Question("otter", question.problem) for question in questions]
        return run_of([failed(result, "no such endpoint") for result in answered(adapted, 48)])

    with pytest.raises(benchmark.NothingAnswered, match="no such endpoint"):
        benchmark.measure(Console(file=io.StringIO()), down, ADAPTERS, tmp_path / "demo.png")
