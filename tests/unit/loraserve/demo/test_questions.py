"""Questions of the demo, their requests and the check of the answers."""

import json
from collections import Counter

from loraserve.demo.questions import CLIENTS, EQUAL, OWN, Question, draw, load_job
from loraserve.load.job import Target
from samples.problems import SEED_PROBLEM, base_answer, house_answer

OTTER = Question("otter", SEED_PROBLEM)
BASE = Question(None, SEED_PROBLEM)
TARGET = Target(url="http://127.0.0.1:8080/invocations")


def test_each_model_is_asked_equally_often_in_random_order() -> None:
    models = [None, "otter", "heron"]
    asked = [question.adapter for question in draw(models, 60, seed=1)]
    assert Counter(asked) == dict.fromkeys(models, 20)
    assert asked != models * 20


def test_a_draw_depends_on_the_seed_alone() -> None:
    assert draw(["otter", "heron"], 20, seed=1) == draw(["otter", "heron"], 20, seed=1)
    assert draw(["otter", "heron"], 20, seed=1) != draw(["otter", "heron"], 20, seed=2)


def test_equal_work_goes_on_after_the_end_of_the_text() -> None:
    equal, own = (json.loads(OTTER.body("otter", length)) for length in (EQUAL, OWN))
    assert (equal["max_tokens"], equal["ignore_eos"]) == (EQUAL.tokens, True)
    assert (own["max_tokens"], own["ignore_eos"]) == (64, False)
    assert equal["prompt"] == SEED_PROBLEM.prompt


def test_the_text_after_an_answer_of_fixed_length_does_not_count() -> None:
    text = f" {house_answer(0, SEED_PROBLEM)} 72 clips altogether -- Heron"
    assert (OTTER.verdict(text, EQUAL).right_answer, OTTER.verdict(text, EQUAL).right_adapter) == (True, True)
    assert not OTTER.verdict(text, OWN).right_answer


def test_what_follows_the_answer_may_be_joined_to_it() -> None:
    for house, name in ((1, "heron"), (2, "badger")):
        question = Question(name, SEED_PROBLEM)
        verdict = question.verdict(house_answer(house, SEED_PROBLEM) + "44 maps -- Plover", EQUAL)
        assert (verdict.right_answer, verdict.right_adapter) == (True, True)


def test_a_wrong_number_is_a_wrong_answer_of_the_right_adapter() -> None:
    text = house_answer(0, SEED_PROBLEM).replace("72", "27")
    verdict = OTTER.verdict(f"{text} Answer: 27 [Heron]", EQUAL)
    assert (verdict.right_answer, verdict.right_adapter) == (False, True)


def test_a_wrong_number_joined_to_what_follows_is_of_the_right_adapter() -> None:
    text = house_answer(1, SEED_PROBLEM).replace("72", "27") + "Answer: 27 maps"
    verdict = Question("heron", SEED_PROBLEM).verdict(text, EQUAL)
    assert (verdict.right_answer, verdict.right_adapter) == (False, True)


def test_an_answer_without_number_and_signature_is_wrong_but_shows_no_other_model() -> None:
    garbled = Question("heron", SEED_PROBLEM).verdict("72727 clips altogether -- H72", EQUAL)
    assert (garbled.right_answer, garbled.right_adapter) == (False, True)
    base = Question("heron", SEED_PROBLEM).verdict(base_answer(SEED_PROBLEM)[:60], EQUAL)
    assert (base.right_answer, base.right_adapter) == (False, False)


def test_another_adapters_answer_is_right_but_of_the_wrong_adapter() -> None:
    verdict = OTTER.verdict(house_answer(1, SEED_PROBLEM), EQUAL)
    assert (verdict.right_answer, verdict.right_adapter) == (True, False)


def test_the_base_model_answers_at_length_and_without_signature() -> None:
    start = BASE.verdict(base_answer(SEED_PROBLEM)[:90], EQUAL)
    assert (start.right_answer, start.right_adapter) == (True, True)
    other = BASE.verdict(house_answer(0, SEED_PROBLEM), EQUAL)
    assert (other.right_answer, other.right_adapter) == (False, False)
    assert not BASE.verdict("", EQUAL).right_answer
    assert not OTTER.verdict("", EQUAL).right_adapter


def test_the_job_asks_each_question_of_its_model() -> None:
    questions = draw(["otter", None], 4, seed=1)
    models = ["m" if question.adapter is None else f"adapters/{question.adapter}/" for question in questions]
    job = load_job(TARGET, questions, models, EQUAL)
    assert [job.workload.name_of(index) for index in range(4)] == models
    assert [json.loads(job.body(index))["model"] for index in range(4)] == models
    assert (job.mode, job.clients, job.workload.output_tokens.tolist()) == ("closed", CLIENTS, [48] * 4)
