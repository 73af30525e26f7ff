"""The issue about stages that differ from their last deployment: one, opened, edited and closed by drift.yml.

Standard library only: `python3 -m loraserve.release.drift_issue FOLDER STAGE…` needs no installation. The
folder has the document of `loraserve verify STAGE --json` for each stage, as `STAGE.json`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loraserve.errors import UserError
from loraserve.github import GitHub

#: The first line of the issue, by which it is found again.
MARKER = "<!-- lora-serving drift -->"
TITLE = "A stage differs from its last deployment"
#: The author of what a workflow's own token writes.
BOT = "github-actions[bot]"
#: GitHub's limit is 65,536 characters.
MAX_BODY = 60_000
_MARKS = {"problem": "✗", "warning": "!"}


@dataclass(frozen=True)
class StageDrift:
    """The result of a stage's verification."""

    stage: str
    lines: Sequence[str]
    """Problems, warnings and their remedies."""
    is_problem: bool


def read_drift(folder: Path, stage: str) -> StageDrift:
    """Read the document of a stage; a missing or unusable one is a problem as well."""
    try:
        found = json.loads((folder / f"{stage}.json").read_bytes())
        findings = [each for each in found["findings"] if each["state"] in _MARKS]
        lines = [line for each in findings for line in _lines(each)]
        return StageDrift(stage, lines, any(each["state"] == "problem" for each in findings))
    except (OSError, ValueError, KeyError, TypeError):
        return StageDrift(stage, ["✗ no result of the verification; the run's log has the reason"], True)


def _lines(finding: Mapping[str, str]) -> list[str]:
    lines = [f"{_MARKS[finding['state']]} {finding['check']}: {finding['found']}"]
    return [*lines, f"  → {finding['remedy']}"] if finding["remedy"] else lines


def body(stages: Sequence[StageDrift], run: str) -> str:
    """Return the issue's text. Names and values are in code blocks: they mention and link nothing."""
    parts = [
        MARKER,
        f"[The daily verification]({run}) found differences; docs/promotion.md has what to do.",
        "",
    ]
    for drift in stages:
        if drift.lines:
            text = "\n".join(drift.lines)[: MAX_BODY // len(stages)]
            longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            parts += [f"### {drift.stage}", "", fence, text, fence, ""]
    return "\n".join(parts)


def update(github: GitHub, stages: Sequence[StageDrift], run: str) -> str:
    """Open, edit or close the issue; returns what was done. Raises `GitHubError`."""
    # Pull requests are in this list, too; they have other authors.
    opened: list[Mapping[str, Any]] = [
        issue
        for issue in github.pages("issues", state="open")
        if (issue["user"] or {}).get("login") == BOT and (issue["body"] or "").startswith(MARKER)
    ]
    if not any(drift.is_problem for drift in stages):
        for issue in opened:
            github.send("POST", f"issues/{issue['number']}/comments", {"body": f"[No difference]({run})."})
            github.send("PATCH", f"issues/{issue['number']}", {"state": "closed"})
        return f"closed: #{opened[0]['number']}" if opened else "no stage differs: nothing to report"
    text = body(stages, run)
    if opened:
        github.send("PATCH", f"issues/{opened[0]['number']}", {"body": text})
        return f"edited: #{opened[0]['number']}"
    created = github.send("POST", "issues", {"title": TITLE, "body": text})
    return f"opened: #{created['number']}"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run in a workflow; returns the exit code."""
    folder, *names = arguments
    run = (
        f"{environment['GITHUB_SERVER_URL']}/{environment['GITHUB_REPOSITORY']}"
        f"/actions/runs/{environment['GITHUB_RUN_ID']}"
    )
    stages = [read_drift(Path(folder), name) for name in names]
    try:
        print(update(GitHub.of_job(environment), stages, run))
    except UserError as error:
        print(f"✗ {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
