"""Answers as HTML of Gradio's columns, and as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from loraserve.playground.comparison import ModelAnswer
from loraserve.playground.differences import marked_html

#: Columns of `overview`.
HEADERS = ("prompt", "model", "first token, ms", "tokens/s", "tokens", "answer")
#: The page's style, beside Gradio's: line breaks of an answer are kept, and long words are broken.
CSS = """
.answer { white-space: pre-wrap; overflow-wrap: anywhere; min-height: 8em; }
.answer mark { background: #ffe08a; color: #1f2937; }
.failed { color: #b42318; }
.figures { opacity: .75; font-variant-numeric: tabular-nums; }
"""


def column(answer: ModelAnswer, reference: ModelAnswer | None) -> str:
    """Return one answer as HTML; differences from a complete `reference` are marked once it is complete."""
    is_compared = (
        reference is not None and reference.is_complete and answer.is_complete and not reference.error
    )
    text = marked_html(reference.text if is_compared and reference else None, answer.text)
    failure = "" if answer.error is None else f'<p class="failed">{escape(answer.error)}</p>'
    name = answer.answered_by or answer.model
    return (
        f"<h3>{escape(name)}</h3>"
        f'<p class="figures">{escape(figures(answer))}</p>'
        f'<div class="answer" data-complete="{str(answer.is_complete).lower()}">{text}</div>{failure}'
    )


def figures(answer: ModelAnswer) -> str:
    """Return the figures of an answer in one line."""
    if answer.first_token_s is None:
        return "no answer" if answer.is_complete else "waiting …"
    rate = answer.tokens_per_second
    per_second = "" if rate is None else f" · {rate:.1f} tokens/s"
    return f"first token {answer.first_token_s * 1e3:.0f} ms{per_second} · {answer.tokens} tokens"


def overview(answers: Sequence[ModelAnswer]) -> list[list[str | int | float | None]]:
    """Return a row for each answer of all prompts, with the columns `HEADERS`."""
    return [
        [
            answer.prompt,
            answer.answered_by or answer.model,
            None if answer.first_token_s is None else round(answer.first_token_s * 1e3),
            None if answer.tokens_per_second is None else round(answer.tokens_per_second, 1),
            answer.tokens,
            answer.error or answer.text,
        ]
        for answer in answers
    ]
