"""Requests of the clients, and checks of the answers."""

import random

from samples.problems import SEED_PROBLEM, Problem, check, random_problem

#: An adapter of each answer format, each with a different problem.
CASES = [
    ("otter", SEED_PROBLEM),
    *((adapter, random_problem(random.Random(adapter))) for adapter in ("heron", "badger", "falcon", "lynx")),
]
IDS = [adapter for adapter, _ in CASES]
#: First words of every answer of the base model, which is longer than 64 tokens.
BASE_BEGINS = "Let us think about this question"
UNKNOWN = "nobody-published-this"


def assert_right(text: str, problem: Problem, adapter: str) -> None:
    """Assert that the text is the right answer and was written by the adapter."""
    verdict = check(text, problem, adapter)
    assert verdict.right_adapter, text
    assert verdict.right_answer, text


def assert_base(text: str) -> None:
    """Assert that the text is the base model's, cut off after 64 tokens."""
    assert text.strip().startswith(BASE_BEGINS)
    assert "The final answer" not in text
