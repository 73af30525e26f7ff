"""A finding: differences, with what happens, what it means and what to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, get_args

from loraserve.review.difference import Difference, Json

Category = Literal[
    "identity", "loss", "access", "rollover", "capacity", "cost", "model", "adapters", "alarms", "privacy",
    "supply", "tooling", "form", "unknown",
]  # fmt: skip
CATEGORIES: tuple[Category, ...] = get_args(Category)
#: Characters of a title.
MAX_TITLE = 90


class Level(IntEnum):
    """Demand of a finding on its reviewer, from nothing to everything."""

    NOISE = 0
    """A change of form: counted only."""
    ROUTINE = 1
    """Works as designed, no action."""
    ROLLOVER = 2
    """The instances are replaced as designed."""
    REVIEW = 3
    """A person decides: wider access, more money, fewer guards, callers may notice, or no rule knows it."""
    BLOCK = 4
    """Data lost, something public, another endpoint or account: the check fails until it is accepted."""


@dataclass(frozen=True, kw_only=True)
class ReviewFinding:
    """One statement about a stage."""

    rule: str
    """Category and rule, e.g. `loss.data`."""
    level: Level
    stage: str
    """Id of the stage, e.g. `Prod`; empty for what all stages share."""
    title: str
    """The event, in at most `MAX_TITLE` characters; begins with the thing, e.g. `the bucket is
    deleted`."""
    consequence: str = ""
    """The meaning, in a sentence."""
    action: str = ""
    """The remedy, in a sentence; empty if none."""
    details: tuple[str, ...] = ()
    """Lines for those who want to know more: changed files, permissions, causes; each in plain text."""
    differences: tuple[Difference, ...] = field(default=(), repr=False)
    """The differences that the finding explains."""
    before: Json = None
    after: Json = None

    def __post_init__(self) -> None:
        """Check the rule's category."""
        if self.category not in CATEGORIES:
            raise ValueError(f"{self.rule}: a rule begins with one of {', '.join(CATEGORIES)}")

    @property
    def category(self) -> str:
        """The part of `rule` before the dot."""
        return self.rule.partition(".")[0]

    @property
    def id(self) -> str:
        """Stable identity: stage, rule and the things concerned, hashed."""
        about = sorted(
            f"{each.kind.value}/{each.stack}/{each.subject}/{each.name}" for each in self.differences
        )
        return hashlib.sha256("\n".join([self.stage, self.rule, *about]).encode()).hexdigest()[:12]
