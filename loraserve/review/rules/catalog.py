"""The rules of a review, in no particular order: a difference may belong to findings of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from loraserve.review.comparison import StageComparison
from loraserve.review.finding import ReviewFinding
from loraserve.review.rules.access import access
from loraserve.review.rules.adapters import adapters
from loraserve.review.rules.alarms import alarms
from loraserve.review.rules.capacity import capacity
from loraserve.review.rules.capacity_form import capacity_form
from loraserve.review.rules.capacity_policy import capacity_policy
from loraserve.review.rules.capacity_quota import capacity_quota
from loraserve.review.rules.capacity_switch import capacity_switch
from loraserve.review.rules.cost import cost
from loraserve.review.rules.endpoint import endpoint
from loraserve.review.rules.facts import facts
from loraserve.review.rules.form import form
from loraserve.review.rules.functions import functions
from loraserve.review.rules.identity import identity
from loraserve.review.rules.locks import locks
from loraserve.review.rules.loss import loss
from loraserve.review.rules.model import model
from loraserve.review.rules.network import network
from loraserve.review.rules.privacy import privacy
from loraserve.review.rules.roles import roles
from loraserve.review.rules.rollout import rollout
from loraserve.review.rules.rollover import rollover
from loraserve.review.rules.security_groups import security_groups
from loraserve.review.rules.supply import supply

#: A rule yields findings about one stage. It claims the differences that its findings name.
Rule = Callable[[StageComparison], Iterable[ReviewFinding]]

RULES: tuple[Rule, ...] = (
    access,
    adapters,
    alarms,
    capacity,
    capacity_form,
    capacity_policy,
    capacity_quota,
    capacity_switch,
    cost,
    endpoint,
    facts,
    form,
    functions,
    identity,
    locks,
    loss,
    model,
    network,
    privacy,
    roles,
    rollout,
    rollover,
    security_groups,
    supply,
)
