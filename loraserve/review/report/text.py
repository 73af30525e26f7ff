"""The report as plain text, with the content and order of the Markdown.

Standard library only, see `loraserve.review.document`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from loraserve.review.document import ReviewDocument
from loraserve.review.report import content
from loraserve.review.report.content import Fold
from loraserve.review.report.inert import plain

_LINE = 320
_CELL = 120


def text(document: ReviewDocument, *, width: int = 110) -> str:
    """Return the report, its lines broken at `width`."""
    return "\n".join(_lines(document, width)) + "\n"


def _lines(document: ReviewDocument, width: int) -> Iterator[str]:
    yield from _wrapped(content.title(document), width)
    for note in document.notes:
        yield from _wrapped(note, width)
    rows = content.table(document)
    if rows:
        yield from _columns([content.COLUMNS, *rows])
    found, more = content.first_findings(document)
    for each in found:
        yield from _wrapped(each.line, width, "- ")
    if more:
        yield f"- and {more:,} more, in “meaning and action”"
    for sentence in content.gate(document):
        yield from _wrapped(sentence, width)
    for part in content.folds(document):
        yield ""
        yield from _fold(part, width)
    yield ""
    yield from _wrapped(content.footer(document), width)


def _fold(part: Fold, width: int) -> Iterator[str]:
    yield part.title
    match part.form:
        case "list":
            for first, *below in part.rows:
                yield from _wrapped(first, width, "- ")
                for line in below:
                    yield from _wrapped(line, width, "    ")
        case "table":
            yield from _columns([part.header, *part.rows])
        case "code":
            yield "  printed by `make diff`, and by `--format markdown`"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    shown = [[plain(cell, _CELL) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()


def _wrapped(line: str, width: int, begin: str = "") -> list[str]:
    return textwrap.wrap(
        plain(line, _LINE),
        max(width, 40),
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_on_hyphens=False,
    )
