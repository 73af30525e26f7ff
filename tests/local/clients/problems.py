"""What the clients ask, and what is right."""

import random

from samples.problems import SEED_PROBLEM, Problem, check, random_problem

#: An adapter of each house style, each with a problem of its own.
CASES = [
    ("otter", SEED_PROBLEM),
    *((adapter, random_problem(random.Random(adapter))) for adapter in ("heron", "badger", "falcon", "lynx")),
]
IDS = [adapter for adapter, _ in CASES]
#: How the base model begins whatever it is asked; its answer is not over after 64 tokens.
BASE_BEGINS = "Let us think about this question"
UNKNOWN = "nobody-published-this"


def assert_right(text: str, problem: Problem, adapter: str) -> None:
    """The text is the right answer, and that adapter's."""
    verdict = check(text, problem, adapter)
    assert verdict.right_adapter, text
    assert verdict.right_answer, text


def assert_base(text: str) -> None:
    """The text is the base model's, cut off after 64 tokens."""
    assert text.strip().startswith(BASE_BEGINS)
    assert "The final answer" not in text
