"""Findings of checks as a table for people and as a document for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loraserve.finding import Finding, State
from loraserve.progress import waiting

#: Mark and style of each state.
MARKS = {
    State.OK: ("✓", "green"),
    State.PROBLEM: ("✗", "red"),
    State.WARNING: ("!", "yellow"),
    State.UNKNOWN: ("–", "yellow"),
}


class TableLine(NamedTuple):
    """A finding, and its part of the table."""

    group: str
    finding: Finding


class Ending(NamedTuple):
    """The end of the line with the counts."""

    problems: str
    """With problems, e.g. `correct them before the deployment`."""
    none: str
    """Without."""


DEPLOYMENT = Ending("correct them before the deployment", "nothing found that would stop the deployment")


def report(
    console: Console,
    lines: Iterable[TableLine],
    *,
    ending: Ending = DEPLOYMENT,
    progress: Console | None = None,
) -> int:
    """Print the table and a line with the counts; return the number of problems.

    While the checks run, `progress` (by default `console`) shows the one that ended last.
    """
    known = list(watched(progress or console, lines))
    print_table(console, table(known))
    console.print(summary_line(known, ending), highlight=False)
    return counts(known)[State.PROBLEM]


def print_table(console: Console, shown: Table) -> None:
    """Print a table without the blanks at the ends of its lines, which would fill a file."""
    with console.capture() as rendered:
        console.print(shown)
    console.file.write("".join(f"{line.rstrip()}\n" for line in rendered.get().splitlines()))
    console.file.flush()


def watched(console: Console, lines: Iterable[TableLine]) -> Iterator[TableLine]:
    """Pass the lines on, and show the progress."""
    with waiting(console, "checking …") as show:
        for number, line in enumerate(lines, 1):
            show(f"checking … {number} done, the last: {line.finding.check}")
            yield line


def table(lines: Sequence[TableLine]) -> Table:
    """Make the table: a heading for each group, a row for each finding."""
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(width=1)
    shown.add_column(min_width=12, max_width=24)
    shown.add_column(overflow="fold", ratio=1)
    for group in dict.fromkeys(line.group for line in lines):
        shown.add_row("", Text(group, style="bold"), "")
        for finding in (line.finding for line in lines if line.group == group):
            mark, style = MARKS[finding.state]
            text = Text(finding.found)
            if finding.remedy:
                text.append(f"\n→ {finding.remedy}", style=style)
            shown.add_row(Text(mark, style=style), Text(finding.check), text)
    return shown


def counts(lines: Iterable[TableLine]) -> Counter[State]:
    """Count the findings of each state."""
    return Counter(line.finding.state for line in lines)


def summary_line(lines: Sequence[TableLine], ending: Ending = DEPLOYMENT) -> str:
    """Make the line with the counts."""
    found = counts(lines)
    numbers = [f"{found[State.OK]} ✓", f"{found[State.PROBLEM]} ✗"]
    if found[State.WARNING]:
        numbers.append(f"{found[State.WARNING]} !")
    end = ending.problems if found[State.PROBLEM] else ending.none
    return f"{', '.join(numbers)}, {found[State.UNKNOWN]} – (not checked): {end}"


def document(stage: str, lines: Sequence[TableLine]) -> str:
    """Make the JSON document: the findings, and the number of each state."""
    found = counts(lines)
    findings = [
        {
            "group": group,
            "check": finding.check,
            "state": finding.state.value,
            "found": finding.found,
            "remedy": finding.remedy,
        }
        for group, finding in lines
    ]
    summary = {state.value: found[state] for state in State}
    return json.dumps({"stage": stage, "findings": findings, "summary": summary}, indent=2)
