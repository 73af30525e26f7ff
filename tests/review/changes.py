"""The corpus: changes of stage files and of code, each with the findings that its review must give.

`corpus/*.yaml` has them, a file for each topic. The expectations are written from what a change does in AWS,
not from what the rules answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from loraserve.review.finding import Level, ReviewFinding
from tests.review.edits import Edit

CORPUS = Path(__file__).parent / "corpus"
#: Dotted keys of a stage file with their new values; null removes a key.
StageEdit = dict[str, Any]
#: Name of a level; with a plus, at least that level.
Bound = Annotated[str, Field(pattern=rf"^({'|'.join(Level.__members__)})[+]?$")]


class Side(BaseModel):
    """One side, as edits of the stage file that the change starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: StageEdit = {}
    adapters: list[dict[str, Any]] | None = None
    """The manifest's entries; None for those of the repository's manifest."""
    name: str | None = None
    """Name of the stage file; None for its own."""
    absent: bool = False
    """The side has no stage at all."""
    facts: bool = True
    """False for a commit that writes no facts file."""
    code: list[Edit] = []
    """Edits of what was synthesized, for a change of code."""


class Change(BaseModel):
    """A change and its expected review."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    why: str
    """Effect in AWS, in a sentence."""
    kind: Literal["dangerous", "ordinary", "harmless"]
    """Dangerous: a reviewer must see it. Ordinary: works as designed. Harmless: nothing to decide."""
    of: Literal["prod", "staging", "dev"] = "prod"
    both: StageEdit = {}
    """Edits of the stage file on both sides."""
    both_adapters: list[dict[str, Any]] | None = None
    base: Side = Side()
    head: Side = Side()
    expected: dict[str, Bound] = {}
    """Level of the gravest finding of each rule; a pattern such as `access.*` for any of them."""
    says: list[str] = []
    """Texts in the findings' titles, sentences or details, in any case."""
    forbidden: list[str] = []
    """Rules, as patterns, without a finding above NOISE."""
    unknown: bool = False
    """True if it may be left to the reviewer as something that no rule knows."""
    verdict: Bound
    """The gravest level of all findings; NOISE also for none."""
    open: int = 5
    """Most findings of REVIEW and above; more than five only where so many things change."""

    def problems(self, findings: Iterable[ReviewFinding]) -> list[str]:
        """Compare with the findings of the review; empty if they are as expected."""
        found = list(findings)
        problems = [
            f"expected {rule}: {level}, found {_name(_gravest(found, rule))}"
            for rule, level in self.expected.items()
            if not is_within(_gravest(found, rule), level)
        ]
        forbidden = [*self.forbidden, *([] if self.unknown else ["unknown.*"])]
        problems += [
            f"forbidden: {each.level.name} {each.rule}: {each.title}"
            for each in found
            if each.level > Level.NOISE and any(fnmatchcase(each.rule, rule) for rule in forbidden)
        ]
        text = "\n".join(
            line for each in found for line in (each.title, each.consequence, each.action, *each.details)
        ).lower()
        problems += [f"no finding says {part!r}" for part in self.says if part.lower() not in text]
        if not is_within(verdict(found), self.verdict):
            problems.append(f"verdict {verdict(found).name} instead of {self.verdict}")
        if (count := len(open_findings(found))) > self.open:
            problems.append(f"{count} open findings, at most {self.open}")
        return problems


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    changes: list[Change] = Field(min_length=1)


@cache
def corpus() -> tuple[Change, ...]:
    """Read all changes."""
    return tuple(
        change
        for file in sorted(CORPUS.glob("*.yaml"))
        for change in _File(changes=yaml.safe_load(file.read_text())).changes
    )


def verdict(findings: Iterable[ReviewFinding]) -> Level:
    """Return the gravest level; NOISE without a finding."""
    return max((each.level for each in findings), default=Level.NOISE)


def open_findings(findings: Iterable[ReviewFinding]) -> list[ReviewFinding]:
    """Return what a person has to decide."""
    return [each for each in findings if each.level >= Level.REVIEW]


def is_within(level: Level | None, bound: Bound) -> bool:
    """Return true for the expected level, or for at least that with a plus."""
    if level is None:
        return False
    least = Level[bound.removesuffix("+")]
    return level >= least if bound.endswith("+") else level is least


def _gravest(findings: Iterable[ReviewFinding], rule: str) -> Level | None:
    return max((each.level for each in findings if fnmatchcase(each.rule, rule)), default=None)


def _name(level: Level | None) -> str:
    return "nothing" if level is None else level.name
