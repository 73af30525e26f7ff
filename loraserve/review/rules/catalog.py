"""The rules of a review, in no particular order: a difference may belong to findings of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from loraserve.review.comparison import StageComparison
from loraserve.review.finding import Finding
from loraserve.review.rules.access import access
from loraserve.review.rules.roles import roles
from loraserve.review.rules.security_groups import security_groups

#: A rule yields findings about one stage. It claims the differences that its findings name.
Rule = Callable[[StageComparison], Iterable[Finding]]

RULES: tuple[Rule, ...] = (access, roles, security_groups)
