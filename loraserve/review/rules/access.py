"""Rules on policies: what a role, a caller or anyone else may do that the base does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loraserve.review.access.capture import is_for_capture, needed_for_capture
from loraserve.review.access.coverage import Right, uncovered
from loraserve.review.access.danger import judge, of_stage
from loraserve.review.access.holders import (
    BUCKET_POLICY,
    IDENTITY_POLICIES,
    KEY,
    MANAGED_POLICY,
    RESOURCE_POLICIES,
    ROLE,
    Held,
    Holder,
    Sort,
    holders,
    may_differ,
)
from loraserve.review.access.judgement import Judgement, access_findings
from loraserve.review.access.wording import Words
from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Impact, Kind
from loraserve.review.finding import Level, ReviewFinding

#: Types whose resources are nothing but access: this rule claims new and deleted ones.
_OWN = {ROLE, *IDENTITY_POLICIES, *RESOURCE_POLICIES}
#: Keys of a Deny that refuses connections without TLS, or with an old version of it.
_TLS = {"aws:securetransport", "s3:tlsversion"}


def access(change: StageComparison) -> Iterator[ReviewFinding]:
    """Compare what all holders of statements may do."""
    if not may_differ(change):
        return
    sides = Sides(change)
    judgements = [
        judgement
        for holder in sides.all_holders()
        for judgement in sides.judgements(holder)
        if judgement.differences or judgement.level >= Level.REVIEW
    ]
    if judgements:
        yield from access_findings(change, Words(change), judgements)
    explained = {difference for each in judgements for difference in each.differences}
    equal = [
        each
        for each in sides.judged()
        if each not in explained and not (each.type == MANAGED_POLICY and each.after is None)
    ]
    if equal:
        yield ReviewFinding(
            rule="form.policy",
            level=Level.NOISE,
            stage=change.id,
            title=f"{len(equal)} changes of policies give equal access",
            consequence="Equal access, written in another way.",
            differences=tuple(equal),
        )


class Sides:
    """The holders of both sides of a stage, with the differences that their statements come from."""

    def __init__(self, change: StageComparison) -> None:
        """Collect the statements of both sides."""
        self._change = change
        self._before, self._after = holders(change.before), holders(change.after)
        self._old_stacks, self._new_stacks = (_stack_names(each) for each in (change.before, change.after))
        self._old_resources, self._new_resources = (
            _resource_names(each) for each in (change.before, change.after)
        )
        self._capture = needed_for_capture(change)
        self._impacts = {f"<{each.stack}/{each.logical_id}>": each.impact for each in change.resources}

    def all_holders(self) -> list[Holder]:
        """Return the holders of the stage's stacks; a stack that the head lacks stays deployed as it is."""
        return [
            holder
            for holder in {**self._before, **self._after}
            if any(stack in self._new_stacks for stack, *_ in self._sources(holder))
        ]

    def before(self, holder: Holder) -> Held:
        """Return the base's statements."""
        return self._before.get(holder, Held())

    def after(self, holder: Holder) -> Held:
        """Return the head's statements."""
        return self._after.get(holder, Held())

    def judged(self) -> list[Difference]:
        """Return all differences of policies."""
        return list(dict.fromkeys(each for holder in self.all_holders() for each in self.differences(holder)))

    def differences(self, holder: Holder) -> tuple[Difference, ...]:
        """Return the differences of a holder's policies."""
        sources = self._sources(holder)
        resources = {(stack, logical_id) for stack, logical_id, _ in sources}
        return tuple(
            each
            for each in self._change.differences
            if (each.kind is Kind.PROPERTY and (each.stack, each.subject, each.name) in sources)
            or (each.kind is Kind.RESOURCE and (each.stack, each.subject) in resources and _is_access(each))
        )

    def judgements(self, holder: Holder) -> Iterator[Judgement]:
        """Compare a holder's statements."""
        old, new = self.before(holder).statements, self.after(holder).statements
        differences = self.differences(holder)
        added = uncovered(new, old, allows=True)
        lost = uncovered(old, new, allows=True)
        guards = [] if self._is_gone(holder) else uncovered(old, new, allows=False)
        refused = uncovered(new, old, allows=False)
        by_rule: dict[tuple[str, Level], list[Right]] = {}
        for right in added:
            by_rule.setdefault(self._rule_of(right, holder, lost), []).append(right)
        for right in guards:
            by_rule.setdefault(("access.guard", _level_of_guard(right, holder)), []).append(right)
        for (rule, level), rights in by_rule.items():
            explained = differences
            if not explained and level >= Level.REVIEW:
                explained = self._whole_resource(holder)
            yield Judgement(rule, level, holder, tuple(rights), explained)
        if holder.sort is Sort.MANAGED and holder in self._before and (lost or refused):
            if holder not in self._after:
                return  # `roles` says that it is deleted
            yield Judgement("access.callers", Level.REVIEW, holder, (), differences)
        elif holder.type == BUCKET_POLICY and not self._is_gone(holder) and holder not in self._after:
            if any(level is Level.BLOCK for _, level in by_rule):
                return
            yield Judgement("access.guard", Level.BLOCK, holder, (), differences)
        elif holder.type == KEY and lost and holder in self._after:
            yield Judgement("access.narrower", Level.REVIEW, holder, tuple(lost), differences)
        elif not by_rule and (lost or refused):
            is_new = holder not in self._before and self._is_created(holder)
            rule = "access.new" if is_new else "access.narrower"
            yield Judgement(rule, Level.ROUTINE, holder, tuple(lost), differences)

    def _rule_of(self, right: Right, holder: Holder, lost: Sequence[Right]) -> tuple[str, Level]:
        rule, level = judge(right, holder, lost)
        if level is Level.REVIEW and holder.type == ROLE and is_for_capture(right, self._capture):
            return "access.capture", Level.ROUTINE
        return self._of_new(right, holder, rule, level)

    def _of_new(self, right: Right, holder: Holder, rule: str, level: Level) -> tuple[str, Level]:
        """Lower what is ordinary in a new stage, a new stack or a new resource."""
        if level is not Level.REVIEW or holder in self._before or not self._is_created(holder):
            return rule, level
        in_new_stack = all(stack not in self._old_stacks for stack, *_ in self._sources(holder))
        if self._change.before is None and not (rule == "access.foreign" and holder.sort is Sort.RESOURCE):
            return "access.new", Level.ROUTINE
        if rule == "access.foreign" or holder.sort is Sort.MANAGED:
            return rule, level
        if holder.sort in (Sort.TRUST, Sort.RESOURCE):
            return "access.new", Level.ROUTINE
        if in_new_stack and not right.resource.negated and all(map(of_stage, right.resource.patterns)):
            return "access.new", Level.ROUTINE
        return rule, level

    def _sources(self, holder: Holder) -> set[tuple[str, str, str]]:
        return self.before(holder).sources | self.after(holder).sources

    def _is_created(self, holder: Holder) -> bool:
        """Return whether the resource that the statements are about is new."""
        name = _resource_of(holder)
        return name in self._new_resources and name not in self._old_resources

    def _is_gone(self, holder: Holder) -> bool:
        """Return whether the resource that the statements are about is deleted."""
        name = _resource_of(holder)
        if name not in self._old_resources or name in self._new_resources:
            return False
        return self._impacts.get(name) is not Impact.ORPHAN

    def _whole_resource(self, holder: Holder) -> tuple[Difference, ...]:
        """Return the difference of a new resource of another topic, or of its existence by a condition."""
        resources = {(stack, logical_id) for stack, logical_id, _ in self._sources(holder)}
        return tuple(
            each
            for each in self._change.differences
            if (each.stack, each.subject) in resources
            and (each.kind is Kind.RESOURCE or (each.kind is Kind.ATTRIBUTE and each.name == "Condition"))
        )


def _is_access(difference: Difference) -> bool:
    types = {each["Type"] for each in (difference.before, difference.after) if each is not None}
    return types <= _OWN


def _stack_names(stage: Stage | None) -> set[str]:
    return set() if stage is None else set(stage.stacks)


def _resource_names(stage: Stage | None) -> set[str]:
    if stage is None:
        return set()
    return {f"<{stack.name}/{each}>" for stack in stage.stacks.values() for each in stack.resources}


def _resource_of(holder: Holder) -> str:
    """Return the name of the resource without an attribute: `<AdapterStore/Key.Arn>` is of the key."""
    return holder.name.partition(".")[0].rstrip(">") + ">"


def _level_of_guard(right: Right, holder: Holder) -> Level:
    is_tls = any(each.key in _TLS for each in right.conditions)
    return Level.BLOCK if holder.type == BUCKET_POLICY and is_tls else Level.REVIEW
