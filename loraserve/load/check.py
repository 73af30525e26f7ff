"""Check of every answer: is it the right text, and is it of the adapter that was asked?

Three signs, by what is known: the expected text, the adapter that the container names in `CustomAttributes`
(`adapter=<name>@<revision>;request=<id>`, this project's gateway), and the base model's answer to the same
prompt, from which an adapter's should differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum

from loraserve.load.prompts import LoadPrompt
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.workload.workload import Workload


class AnswerCheck(Enum):
    """Result of the check of an answer; the values are the words of reports and of the JSON document."""

    RIGHT = "right"
    WRONG_ADAPTER = "wrong adapter"
    """The container names another adapter than the one asked, or none where it names one in other answers."""
    WRONG_TEXT = "wrong text"
    UNCHECKED = "unchecked"
    """No text is expected, and the container names no adapter."""
    NO_ANSWER = "no answer"
    """The request failed."""

    @property
    def is_wrong(self) -> bool:
        """True for an answer that should not have been given."""
        return self in (AnswerCheck.WRONG_ADAPTER, AnswerCheck.WRONG_TEXT)


def check_answers(
    results: Sequence[RequestResult], workload: Workload, prompts: Sequence[LoadPrompt] = ()
) -> list[AnswerCheck]:
    """Check each answer; `prompts` has the prompt of each request, or is empty if nothing is expected."""
    # A container that names adapters names none for the base model alone.
    names_adapters = any(result.answered_by is not None for result in results)
    return [
        _check(
            result,
            workload.name_of(result.index),
            prompts[result.index] if prompts else None,
            names_adapters=names_adapters,
        )
        for result in results
    ]


def is_of(answered_by: str | None, asked: str | None) -> bool:
    """Return whether the adapter that answered, `name@revision`, is the one asked, with or without revision.

    Names are compared whole: `team/1` is not `team/10`.
    """
    if answered_by is None or asked is None:
        return answered_by is None and asked is None
    return asked in (answered_by, answered_by.rpartition("@")[0])


def indistinguishable(answers: Mapping[str, str], base: str | None) -> list[str]:
    """Return the adapters whose answer to a prompt is the base model's, both without sampling.

    Such an adapter may be an empty one, one that the engine did not apply, or one that this prompt does not
    need: a warning, not an error. Without the base model's answer nothing is known of them.
    """
    if base is None:
        return []
    return sorted(name for name, text in answers.items() if text.strip() == base.strip())


def _check(
    result: RequestResult, asked: str | None, prompt: LoadPrompt | None, *, names_adapters: bool
) -> AnswerCheck:
    if result.outcome is not LoadOutcome.OK:
        return AnswerCheck.NO_ANSWER
    if names_adapters and not is_of(result.answered_by, asked):
        return AnswerCheck.WRONG_ADAPTER
    if prompt is not None and not _is_expected(result.text or "", prompt):
        return AnswerCheck.WRONG_TEXT
    is_expected = prompt is not None and (prompt.expect is not None or prompt.pattern is not None)
    return AnswerCheck.RIGHT if names_adapters or is_expected else AnswerCheck.UNCHECKED


def _is_expected(text: str, prompt: LoadPrompt) -> bool:
    if prompt.expect is not None and text.strip() != prompt.expect:
        return False
    return prompt.pattern is None or re.search(prompt.pattern, text) is not None
