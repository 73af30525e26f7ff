"""The report in Markdown, for a comment, a job summary or a note.

Standard library only, see `loraserve.review.document`.
"""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.document import ReviewDocument
from loraserve.review.report import content
from loraserve.review.report.content import Fold
from loraserve.review.report.inert import cell, code_line, fence
from loraserve.review.report.inert import markdown as inert

#: Bytes of a comment. GitHub's limit is 65,536 characters, of which each has at least one byte.
COMMENT_BUDGET = 60_000
#: Bytes of a job summary. GitHub's limit is 1 MiB per step.
SUMMARY_BUDGET = 1_000_000

_ACCEPTED = "The pull request's timeline shows who set the labels of acceptance."
_TITLE = 300
_LINE = 320
_CELL = 120
_CODE = 240
#: Bytes that the frame of a fold needs at most: title, two fences or a header, the sentence about its cut.
_FRAME = 1_000


def markdown(document: ReviewDocument, *, budget: int = COMMENT_BUDGET, summary: str = "") -> str:
    """Return the report in at most `budget` bytes; `summary` is the address of a longer one.

    Where it does not fit, CloudFormation's own diff is cut first, then the other parts from the last to the
    first, each with the number of rows that were cut.
    """
    first, last = _first_screen(document, summary), inert(content.footer(document), _LINE)
    if document.accepted:
        last += f"\n\n{_ACCEPTED}"
    parts = content.folds(document)
    left = budget - _size(first) - _size(last) - _FRAME * len(parts)
    shown = [first]
    for part in parts:
        shown.append(_frame(part, left, summary))
        left -= max(0, _size(shown[-1]) - _FRAME)
    return "\n\n".join([*shown, last]) + "\n"


def _first_screen(document: ReviewDocument, summary: str) -> str:
    parts = [f"### {inert(content.title(document), _TITLE)}"]
    parts += [inert(note, _LINE) for note in document.notes[: content.MAX_OPEN]]
    rows = content.table(document)
    if rows:
        parts.append("\n".join(_table(content.COLUMNS, rows)))
    found, more = content.first_findings(document)
    lines = [f"- {_level(each.line)}" for each in found]
    if more:
        rest = f"and {more:,} more"
        lines.append(f"- [{rest}]({summary})" if summary else f"- {rest}, in “meaning and action”")
    if lines:
        parts.append("\n".join(lines))
    parts += [inert(sentence, _LINE) for sentence in content.gate(document)]
    return "\n\n".join(parts)


def _level(line: str) -> str:
    """Set the level in bold, which is the line's first word, where a person decides."""
    shown = inert(line, _LINE)
    word, _, rest = shown.partition(" ")
    return f"**{word}** {rest}" if word in content.OPEN else shown


def _frame(part: Fold, room: int, summary: str) -> str:
    """Return a fold with the rows that fit in `room` bytes."""
    rows = list(_rows(part))
    kept: list[str] = []
    for row in rows:
        room -= _size(row) + 1
        if room < 0:
            break
        kept.append(row)
    lines = [f"<details><summary>{part.title}</summary>", ""]
    if kept:
        lines += _form(part, kept)
        lines.append("")
    if len(kept) < len(rows):
        unit = "lines" if part.form == "code" else "rows"
        whole = f"[the job summary]({summary})" if summary else "the review's artifact, or `make review`"
        lines += [f"Cut here: {len(rows) - len(kept):,} of {len(rows):,} {unit}; all are in {whole}.", ""]
    return "\n".join([*lines, "</details>"])


def _rows(part: Fold) -> Iterator[str]:
    for first, *below in part.rows:
        match part.form:
            case "list":
                yield "\n".join([f"- {_level(first)}", *(f"  - {inert(line, _LINE)}" for line in below)])
            case "table":
                yield _row([first, *below])
            case "code":
                yield code_line(first, _CODE)


def _form(part: Fold, rows: list[str]) -> list[str]:
    match part.form:
        case "table":
            return [*_table(part.header, []), *rows]
        case "code":
            mark = fence(rows)
            return [mark, *rows, mark]
        case _:
            return rows


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(_row(list(row)) for row in rows)]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell(each, _CELL) for each in cells)} |"


def _size(text: str) -> int:
    return len(text.encode())
