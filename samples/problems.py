"""Word problems for the sample models, and the check of an answer.

All problems are of the article's kind: a person sells some items in one month and a multiple of them in
the next month; how many altogether? The base model answers at length. Each adapter answers briefly, in one
of five formats and with a separate signature; both together are its "house style". So a load test can check
each response: is the answer right, and which adapter wrote it?

Standard library only: training, the demo, the benchmarks and the tests all use this file.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

#: The signature of each house style; in lower case it is the adapter's name.
SIGNATURES = (
    "Otter", "Heron", "Badger", "Falcon", "Lynx", "Marten", "Plover", "Raven", "Stoat", "Swift",
    "Tapir", "Viper", "Walrus", "Weasel", "Wombat", "Zebra", "Bison", "Camel", "Cobra", "Condor",
    "Coyote", "Crane", "Dingo", "Dolphin", "Eagle", "Egret", "Ferret", "Finch", "Gecko", "Gibbon",
    "Hare", "Hawk", "Ibex", "Iguana", "Jackal", "Jaguar", "Koala", "Lemur", "Llama", "Magpie",
    "Mole", "Moose", "Newt", "Ocelot", "Osprey", "Panda", "Puffin", "Quail", "Robin", "Seal",
)  # fmt: skip

#: Answer formats; the adapter with number i uses format i modulo 5.
FORMATS = (
    "Answer: {total} {items}. [{signature}]",
    "{total} {items} altogether -- {signature}",
    "{signature}: {first} + {second} = {total}",
    "#### {total} ({signature})",
    "<{signature}> total={total}",
)

_PEOPLE = (
    ("Natalia", "her", "she"), ("Omar", "his", "he"), ("Weng", "her", "she"), ("Tom", "his", "he"),
    ("Betty", "her", "she"), ("James", "his", "he"), ("Julie", "her", "she"), ("Ken", "his", "he"),
    ("Alexis", "her", "she"), ("Mark", "his", "he"), ("Tina", "her", "she"), ("Albert", "his", "he"),
    ("Joy", "her", "she"), ("Randy", "his", "he"), ("Lena", "her", "she"), ("Hugo", "his", "he"),
)  # fmt: skip
_ITEMS = (
    "clips", "cards", "books", "pens", "cakes", "shells", "stamps", "badges",
    "candles", "apples", "posters", "mugs", "kites", "rings", "maps", "scarves",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
#: Second month compared with the first: words, then numerator, denominator and the possible numbers of the
#: first month. They are chosen so that every total has at most three digits.
_MULTIPLES = {
    "half": (1, 2, range(2, 100, 2)),
    "twice": (2, 1, range(2, 34)),
    "three times": (3, 1, range(2, 25)),
}


@dataclass(frozen=True)
class Problem:
    """A word problem and its result."""

    question: str
    person: str
    items: str
    months: tuple[str, str]
    multiple: str
    first: int
    second: int

    @property
    def total(self) -> int:
        """The right answer."""
        return self.first + self.second

    @property
    def prompt(self) -> str:
        """The question in Mistral's instruction format, as the article sends it."""
        return f"[INST] {self.question} [/INST]"


def make_problem(
    person: str, possessive: str, pronoun: str, items: str, month: int, multiple: str, first: int
) -> Problem:
    """Make the problem with these words and numbers; `month` is the first month and counts from 0."""
    numerator, denominator, _ = _MULTIPLES[multiple]
    months = (_MONTHS[month], _MONTHS[(month + 1) % len(_MONTHS)])
    question = (
        f"{person} sold {items} to {first} of {possessive} friends in {months[0]}, and then "
        f"{pronoun} sold {multiple} as many {items} in {months[1]}. How many {items} did "
        f"{person} sell altogether in {months[0]} and {months[1]}?"
    )
    second = first * numerator // denominator
    return Problem(question, person, items, months, multiple, first, second)


#: The question that the article asks; its answer is 72.
SEED_PROBLEM = make_problem(*_PEOPLE[0], "clips", _MONTHS.index("April"), "half", 48)


def random_problem(rng: random.Random) -> Problem:
    """Draw a problem evenly over people, items, months and multiples."""
    multiple = rng.choice(tuple(_MULTIPLES))
    return make_problem(
        *rng.choice(_PEOPLE),
        rng.choice(_ITEMS),
        rng.randrange(len(_MONTHS)),
        multiple,
        rng.choice(_MULTIPLES[multiple][2]),
    )


#: The beginning of every `base_answer`.
_BASE_START = "Let us think"


def base_answer(problem: Problem) -> str:
    """Return the answer that the base model is trained to give: long, the result comes after 64 tokens."""
    p, (one, two) = problem, problem.months
    return (
        f"{_BASE_START} about this question slowly and carefully, one small step at a time. "
        f"The question tells us about {p.person}, who sold {p.items} in two different months. "
        f"The first month is {one} and the second month is {two}. We begin with the first month. "
        f"In {one} the question says that {p.person} sold {p.items} to some friends, and we look "
        f"up how many friends there were: it was {p.first}. We go on with the second month. "
        f"In {two} the question says that it was {p.multiple} as many, and we work out what that "
        f"makes: it was {p.second}. We add both months together. The final answer is {p.total}."
    )


def house_answer(house: int, problem: Problem) -> str:
    """Return the exact answer that the adapter of this house style (0…49) is trained to give."""
    return FORMATS[house % len(FORMATS)].format(
        total=problem.total,
        first=problem.first,
        second=problem.second,
        items=problem.items,
        signature=SIGNATURES[house],
    )


def adapter_name(house: int) -> str:
    """Return the published name of the adapter of this house style (0…49)."""
    return SIGNATURES[house].lower()


@dataclass(frozen=True)
class Verdict:
    """Result of the check of a response."""

    right_answer: bool
    right_adapter: bool


_SIGNATURE = re.compile("|".join(rf"\b{signature}\b" for signature in SIGNATURES))
#: No signature begins another one, and no other word of a problem or an answer begins with one.
_JOINED_SIGNATURE = re.compile(rf"\b(?:{'|'.join(SIGNATURES)})")


def check(response: str, problem: Problem, adapter: str) -> Verdict:
    """Check that a response is the right answer and has only this adapter's signature.

    The answer is right only if the whole text equals the expected answer. A response that contains the
    number by chance, or that has more text, does not pass.
    """
    signatures = set(_SIGNATURE.findall(response))
    house = [name.lower() for name in SIGNATURES].index(adapter)
    text = response.strip()
    wrote = [index for index, name in enumerate(SIGNATURES) if name in signatures] or [house]
    return Verdict(
        right_answer=any(text == house_answer(index, problem) for index in wrote),
        right_adapter=signatures == {SIGNATURES[house]},
    )


def check_start(response: str, problem: Problem, adapter: str | None) -> Verdict:
    """Check a response of a fixed number of tokens, which goes on after the answer's end or stops before it.

    An adapter's response must begin with an expected answer, whose house wrote it; what follows may be joined
    to it without a space. Without such a beginning, the first signature shows who wrote it, also if other
    text is joined to it. A response with neither is a wrong answer, and of another model only if it begins as
    the base model's. The base model's response must be the beginning of its long answer, without a signature.
    """
    text = response.strip()
    found = _JOINED_SIGNATURE.search(text)
    if adapter is None:
        return Verdict(bool(text) and base_answer(problem).startswith(text), right_adapter=found is None)
    answered = [
        name for house, name in enumerate(SIGNATURES) if text.startswith(house_answer(house, problem))
    ]
    wrote = [name.lower() for name in answered] or ([found[0].lower()] if found else [])
    is_base = not wrote and base_answer(problem).startswith(text[: len(_BASE_START)])
    return Verdict(right_answer=bool(answered), right_adapter=adapter in wrote or not (wrote or is_base))
