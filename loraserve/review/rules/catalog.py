"""The rules of a review, in no particular order: a difference may belong to findings of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from loraserve.review.comparison import StageComparison
from loraserve.review.finding import Finding
from loraserve.review.rules.endpoint import endpoint
from loraserve.review.rules.functions import functions
from loraserve.review.rules.model import model
from loraserve.review.rules.privacy import privacy
from loraserve.review.rules.rollout import rollout
from loraserve.review.rules.rollover import rollover
from loraserve.review.rules.supply import supply

#: A rule yields findings about one stage. It claims the differences that its findings name.
Rule = Callable[[StageComparison], Iterable[Finding]]

RULES: tuple[Rule, ...] = (endpoint, functions, model, privacy, rollout, rollover, supply)
