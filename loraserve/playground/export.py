"""Answers as CSV and as JSON Lines, and prompts read from a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from loraserve.errors import UserError
from loraserve.playground.comparison import ModelAnswer, Sampling

#: Characters at which a spreadsheet begins a formula: a cell that begins with one gets an apostrophe.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class PromptFileError(UserError):
    """A file of prompts that cannot be used."""


def row(answer: ModelAnswer, sampling: Sampling) -> dict[str, Any]:
    """Return an answer with its settings; times in seconds."""
    return {
        "prompt": answer.prompt,
        "model": answer.model,
        "answered_by": answer.answered_by,
        "text": answer.text,
        "tokens": answer.tokens,
        "time_to_first_token_s": answer.first_token_s,
        "tokens_per_second": answer.tokens_per_second,
        "error": answer.error,
        **asdict(sampling),
    }


def as_jsonl(rows: Iterable[dict[str, Any]]) -> str:
    """Return one JSON object a line."""
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """Return a table with a head; texts that a spreadsheet would take for a formula are quoted."""
    found = list(rows)
    output = io.StringIO()
    writer = csv.DictWriter(output, fieldnames=list(found[0]) if found else [])
    writer.writeheader()
    for each in found:
        writer.writerow({key: _cell(value) for key, value in each.items()})
    return output.getvalue()


def read_prompts(text: str, name: str) -> list[str]:
    """Return the prompts of a file: `prompt` of each line of JSON Lines, or else each line that is not blank.

    Raises:
        PromptFileError: no prompt, or a line of a `.jsonl` file without one.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    prompts = [
        _prompt(line, f"{name}:{number}") if name.endswith(".jsonl") else line for number, line in lines
    ]
    if not prompts:
        raise PromptFileError(f"{name}: has no prompt: write one a line")
    return prompts


def _prompt(line: str, where: str) -> str:
    try:
        return str(json.loads(line)["prompt"])
    except (ValueError, LookupError, TypeError) as error:
        raise PromptFileError(f'{where}: write an object with a prompt, e.g. {{"prompt": "…"}}') from error


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
