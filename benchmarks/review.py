"""Review benchmark: the changes of the corpus, reviewed and by stock tools, and the time of `make review`.

    python -m benchmarks.review     (not part of make bench: it writes the table of docs/review.md)

The stock tools are the library of `cdk diff`: the lines that it prints for all stacks of a pair, and the
verdicts of `cdk diff --fail-on broadening` and `--fail-on destructive`. A dangerous change is found if the
tool would fail it; for the review, if a finding is REVIEW or BLOCK. An alarm about a harmless change is a
false one.

Duration: about two minutes on two idle cores.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loraserve.cdk import NODE
from loraserve.review.assembly import CloudAssembly
from loraserve.review.finding import Level, ReviewFinding
from stacks.project import ROOT
from tests.review.changes import Change, corpus, open_findings, verdict
from tests.review.synthesis import Workshop, reviewed

PAGE = ROOT / "docs" / "review.md"
BEGIN, END = "<!-- begin: python -m benchmarks.review -->", "<!-- end -->"
SCRIPT = Path(__file__).with_name("stock_verdicts.js")


class Seen(NamedTuple):
    """A tool's answer to a change."""

    alarm: bool
    """It would fail the change, or leave it open for a person."""
    lines: int
    """Lines to read."""


def main() -> None:
    """Measure, and write the table into the page."""
    changes = corpus()
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        workshop = Workshop(Path(folder))
        sides = [workshop.sides(change) for change in changes]
        found = reviewed(sides)
    stock = [_stock(pair) for pair in _verdicts(sides)]
    tools = {
        "`make review`": [_review(findings) for findings in found],
        "`cdk diff --fail-on broadening`": [Seen(each["broadening"], each["lines"]) for each in stock],
        "`cdk diff --fail-on destructive`": [Seen(each["destructive"], each["lines"]) for each in stock],
    }
    levels = sum(
        verdict(findings) >= Level.REVIEW
        for change, findings in zip(changes, found, strict=True)
        if change.kind == "dangerous"
    )
    table = [
        *_table(changes, tools),
        "",
        _time(),
        f"Open findings of a change: median {_median_open(found)}.",
    ]
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{chr(10).join(table)}\n{END}{rest.partition(END)[2]}")
    print("\n".join(table), levels, sep="\n", file=sys.stderr)


def _table(changes: Sequence[Change], tools: Mapping[str, Sequence[Seen]]) -> list[str]:
    counts = {
        kind: sum(change.kind == kind for change in changes) for kind in ("dangerous", "ordinary", "harmless")
    }
    lines = [
        f"| {len(changes)} changes | lines to read, median (most) "
        f"| dangerous found, of {counts['dangerous']} | missed "
        f"| alarms about {counts['ordinary']} ordinary | false alarms about {counts['harmless']} harmless |",
        "|---|---|---|---|---|---|",
    ]
    for name, seen in tools.items():
        alarms = {
            kind: sum(each.alarm for change, each in zip(changes, seen, strict=True) if change.kind == kind)
            for kind in counts
        }
        read = [each.lines for each in seen]
        lines.append(
            f"| {name} | {statistics.median(read):.0f} ({max(read)}) | {alarms['dangerous']} "
            f"| {counts['dangerous'] - alarms['dangerous']} | {alarms['ordinary']} | {alarms['harmless']} |"
        )
    return lines


def _review(findings: Sequence[ReviewFinding]) -> Seen:
    shown = open_findings(findings)
    return Seen(bool(shown), len(shown) + sum(each.level is Level.ROLLOVER for each in findings))


def _median_open(found: Sequence[Sequence[ReviewFinding]]) -> float:
    return statistics.median(len(open_findings(findings)) for findings in found)


def _verdicts(sides: Sequence[tuple[CloudAssembly, CloudAssembly]]) -> list[list[dict[str, Any]]]:
    """Ask the library about each stack of each pair; one call for all."""
    pairs, counts = [], []
    for before, after in sides:
        of_side = [
            {
                (stage, name): stack.template
                for stage, each in side.stages.items()
                for name, stack in each.stacks.items()
            }
            for side in (before, after)
        ]
        keys = sorted({*of_side[0], *of_side[1]})
        stacks = [tuple(side.get(key, {}) for side in of_side) for key in keys]
        different = [pair for pair in stacks if pair[0] != pair[1]]
        pairs += different
        counts.append(len(different))
    done = subprocess.run(
        [NODE, SCRIPT],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        check=True,
        env={"NODE_PATH": str(ROOT / "node_modules")},
    )
    answers = iter(json.loads(done.stdout))
    return [[next(answers) for _ in range(count)] for count in counts]


def _stock(stacks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "lines": sum(each["lines"] for each in stacks),
        "broadening": any(each["broadening"] for each in stacks),
        "destructive": any(each["destructive"] for each in stacks),
    }


def _time() -> str:
    """Measure the second of two runs of the command, in which nothing is installed."""
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "loraserve", "review", "--base", "HEAD"]
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
        seconds = time.perf_counter() - started
    return f"`make review` of all stages, both sides synthesized: {seconds:.0f} s on this machine, warm."


if __name__ == "__main__":
    main()
