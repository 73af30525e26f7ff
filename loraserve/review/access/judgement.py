"""Judgements about holders of statements, and the findings that say them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from loraserve.review.access.coverage import Right
from loraserve.review.access.holders import ATTACHED_POLICY, Holder, Sort
from loraserve.review.access.patterns import is_unrestricted
from loraserve.review.access.wording import Words, title
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference
from loraserve.review.finding import Level, ReviewFinding

_CONSEQUENCES = {
    "access.wider": "Access that the base does not give.",
    "access.foreign": "Access to, or by, what is not of this stage.",
    "access.callers": "Callers have this policy attached, also outside of the templates.",
    "access.public": "No condition binds the access to an organization, an account or a source.",
    "access.rescoped": "The same actions, on another part of the stage.",
    "access.capture": "The data capture writes there.",
    "access.narrower": "Less access than on the base.",
    "access.new": "New, with access within the stage.",
    "access.guard": "A Deny of the base no longer refuses this.",
}
_ACTIONS = {
    "access.wider": "Check that each line of the list is needed.",
    "access.foreign": "Check who owns it, and that each line of the list is needed.",
    "access.callers": "Ask those who call the endpoint.",
    "access.public": "Name the principals, or bind them by aws:SourceAccount or aws:PrincipalOrgID.",
    "access.guard": "Restore the Deny.",
}


@dataclass(frozen=True)
class Judgement:
    """A statement about one holder."""

    rule: str
    level: Level
    holder: Holder
    rights: tuple[Right, ...]
    differences: tuple[Difference, ...]


def access_findings(
    change: StageComparison, words: Words, judgements: Iterable[Judgement]
) -> Iterator[ReviewFinding]:
    """Make findings of judgements: one of equal ones about several holders."""
    alike: dict[object, list[Judgement]] = {}
    for each in judgements:
        several = each.rule in ("access.new", "access.narrower", "access.rescoped")
        key = (each.rule, each.level, None if several else (each.holder.sort, frozenset(each.rights)))
        alike.setdefault(key, []).append(each)
    for first, *others in alike.values():
        about = [first, *others]
        yield ReviewFinding(
            rule=first.rule,
            level=first.level,
            stage=change.id,
            title=_title(words, about),
            consequence=_CONSEQUENCES[first.rule],
            action=_ACTIONS.get(first.rule, ""),
            details=tuple(_details(words, about)),
            differences=tuple(dict.fromkeys(one for each in about for one in each.differences)),
        )


def _details(words: Words, about: Sequence[Judgement]) -> Iterator[str]:
    for each in about:
        prefix = "" if len(about) == 1 else f"{words.holder(each.holder)}: "
        for line in words.lines(each.rights, each.holder):
            yield prefix + line


def _title(words: Words, about: Sequence[Judgement]) -> str:
    first = about[0]
    names = sorted({words.holder(each.holder) for each in about})
    who = names[0] if len(names) == 1 else f"{len(names)} policies"
    match first.rule:
        case "access.new":
            return title(f"{who}: new, with access within the stage")
        case "access.narrower":
            return title(f"{who}: less access", f"{len(names)} policies: less access")
        case "access.rescoped":
            return title(f"{who}: the same actions on another part of the stage")
        case "access.callers" if not first.rights:
            return title(f"{who} lose rights")
        case "access.guard" if not first.rights:
            return title(f"{who} loses its policy")
    return _title_of_rights(words, about, who)


def _title_of_rights(words: Words, about: Sequence[Judgement], who: str) -> str:
    first = about[0]
    names = sorted({words.holder(each.holder) for each in about})
    count = len(first.rights)
    right = min(first.rights, key=lambda each: (not _is_grave(each), str(each.action)))
    subject, action = words.subject(right, first.holder), words.action(right)
    thing = words.object(right, first.holder)
    if len(names) > 1:
        subject, thing = (who, thing) if subject == names[0] else (subject, f"{len(names)} resources")
    more = f" and {count - 1} more" if count > 1 else ""
    if right.action.patterns == {ATTACHED_POLICY}:
        policy = thing.rpartition("/")[2]
        return title(f"{subject} may now do all that {policy} allows{more}", f"{who}: {count} rights more")
    if first.holder.sort is Sort.TRUST and first.rule != "access.guard":
        whom = words.holder(first.holder) if len(names) == 1 else f"{len(names)} roles"
        return title(f"{subject} may now assume {whom}{more}", f"{count} principals more for {whom}")
    verb = "is no longer refused" if first.rule == "access.guard" else "may now"
    return title(
        f"{subject} {verb} {action} on {thing}{more}",
        f"{subject} {verb} {action}{more}",
        f"{who}: {count} rights more",
    )


def _is_grave(right: Right) -> bool:
    return right.resource.negated or any(map(is_unrestricted, right.resource.patterns))
