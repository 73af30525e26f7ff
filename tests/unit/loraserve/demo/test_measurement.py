"""Figures of one scenario in one round."""

import math

import pytest

from loraserve.demo.measurement import summarize
from loraserve.demo.questions import EQUAL, OWN, draw
from tests.unit.loraserve.demo.runs import answered, failed, run_of

QUESTIONS = draw(["otter", "heron"], 40, seed=3)


def test_right_answers_of_equal_length_pass() -> None:
    found = summarize(QUESTIONS, run_of(answered(QUESTIONS, 48)), EQUAL)
    wrong = (found.errors, found.wrong_answer, found.wrong_adapter, found.wrong_length)
    assert wrong == (0, 0, 0, 0)
    assert (found.total_s, found.rps, found.tokens_per_s) == (20.0, 2.0, 96.0)
    assert found.client_share == 0.25


def test_an_answer_of_another_length_is_counted_where_the_length_is_fixed() -> None:
    results = answered(QUESTIONS, 48)
    results[7].output_tokens = 11
    assert summarize(QUESTIONS, run_of(results), EQUAL).wrong_length == 1
    assert summarize(QUESTIONS, run_of(results), OWN).wrong_length == 0


def test_errors_wrong_answers_and_wrong_adapters_are_each_counted() -> None:
    results = answered(QUESTIONS, 48)
    results[0] = failed(results[0], "busy")
    results[1].text = "no idea -- Badger"
    results[2].text = (results[2].text or "").replace("Otter", "Lynx").replace("Heron", "Lynx")
    found = summarize(QUESTIONS, run_of(results), EQUAL)
    assert (found.requests, found.errors, found.first_error) == (40, 1, "model error: busy")
    assert (found.wrong_answer, found.wrong_adapter) == (2, 2)


def test_rates_and_percentiles_count_successful_requests_only() -> None:
    results = answered(QUESTIONS, 48)
    results[39] = failed(results[39], "late")
    results[39].ended_s = 60.0
    found = summarize(QUESTIONS, run_of(results), EQUAL)
    assert found.rps == pytest.approx(39 / 60)
    assert found.latency_s.p99 == pytest.approx(0.5)


def test_a_round_without_an_answer_has_no_latency() -> None:
    results = [failed(result, "down") for result in answered(QUESTIONS, 48)]
    found = summarize(QUESTIONS, run_of(results), EQUAL)
    assert (found.errors, found.rps) == (40, 0.0)
    assert math.isnan(found.latency_s.p50)
