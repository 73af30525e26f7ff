"""Notification: the topic of alarms and its subscribers."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import REPLACING, Difference, Kind
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import changed, is_whole, label, several, verb
from loraserve.review.values import properties, resources_of, text, title

_TOPIC = "AWS::SNS::Topic"
_SUBSCRIPTION = "AWS::SNS::Subscription"
#: Properties that say which messages reach which subscriber.
_RECIPIENT = ("Endpoint", "Protocol", "TopicArn")


def notification(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find topics and subscribers that come or go."""
    for resource in changed(change, _TOPIC):
        name = f"topic `{label(resource)}`"
        if resource.is_added:
            yield _finding(change, Level.ROUTINE, "alarms.topic", f"{name} is new", "", resource.differences)
            continue
        if resource.is_removed:
            consequence = "Its subscribers get no more notifications."
            yield _finding(
                change,
                Level.REVIEW,
                "alarms.redirected",
                f"{name} is deleted",
                consequence,
                resource.differences,
            )
            continue
        if is_whole(resource):
            continue
        for each in resource.differences:
            if each.kind is not Kind.PROPERTY:
                continue
            if each.impact in REPLACING:
                consequence = (
                    "CloudFormation makes a new topic: its subscribers outside of this stage are lost."
                )
                yield _finding(
                    change, Level.REVIEW, "alarms.redirected", f"{name} is replaced", consequence, (each,)
                )
            elif each.name == "DisplayName":
                yield _finding(
                    change, Level.ROUTINE, "alarms.topic", f"{name} has another display name", "", (each,)
                )
            elif each.name == "KmsMasterKeyId":
                what = f"{name} is encrypted by {text(each.after)} instead of {text(each.before)}"
                consequence = "Alarms are not delivered unless CloudWatch may use the key."
                yield _finding(change, Level.REVIEW, "alarms.encryption", what, consequence, (each,))
    yield from _subscribers(change)


def _finding(
    change: StageComparison,
    level: Level,
    rule: str,
    what: str,
    consequence: str,
    differences: tuple[Difference, ...],
) -> ReviewFinding:
    return ReviewFinding(
        rule=rule,
        level=level,
        stage=change.id,
        title=title(what),
        consequence=consequence,
        action="Subscribe the recipients again, or check that they are not needed."
        if level is Level.REVIEW
        else "",
        differences=differences,
    )


def _subscribers(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield subscribers who go and come: removing the first of a list moves the others up."""
    differences = tuple(
        each
        for resource in changed(change, _SUBSCRIPTION)
        for each in resource.differences
        if (each.kind is Kind.RESOURCE and None in (each.before, each.after)) or each.name in _RECIPIENT
    )
    if not differences:
        return
    before, after = _recipients(change.before), _recipients(change.after)
    gone, new = sorted(before - after), sorted(after - before)
    # A new address of another kind, such as a queue, reads every alarm without a confirmation by a person.
    by_mail = all(protocol.startswith("email") for _, protocol, _ in new)
    if gone:
        addresses = [address for _, _, address in gone]
        what = (
            "the last subscriber of alarms is gone"
            if not after
            else f"{several('subscriber', addresses)} of alarms {verb(gone, 'is', 'are')} gone"
        )
        yield ReviewFinding(
            rule="alarms.silent",
            level=Level.REVIEW,
            stage=change.id,
            title=title(what),
            consequence="No one is notified by this topic any more."
            if not after
            else "They are notified no more.",
            action="Keep one subscriber at least." if not after else "Check that they know.",
            details=(
                *(f"gone: {address}" for address in addresses),
                *(f"new: {address}" for _, _, address in new),
            ),
            differences=differences,
        )
    if new or not gone:
        yield ReviewFinding(
            rule="alarms.subscriber",
            level=Level.ROUTINE if by_mail else Level.REVIEW,
            stage=change.id,
            title=title(
                f"{several('subscriber', [each[2] for each in new])} of alarms {verb(new, 'is', 'are')} new"
            )
            if new
            else "subscriptions of alarms are made again",
            consequence="SNS asks each address for confirmation; without it nothing is delivered."
            if by_mail
            else "It reads every alarm of the stage.",
            action="" if by_mail else "Check who owns it.",
            details=tuple(address for _, _, address in new),
            differences=differences,
        )


def _recipients(stage: Stage | None) -> set[tuple[str, str, str]]:
    """Return topic, protocol and address of each subscription."""
    return {
        (text(values.get("TopicArn")), text(values.get("Protocol")), text(values.get("Endpoint")))
        for _, _, resource in resources_of(stage, _SUBSCRIPTION)
        for values in (properties(resource),)
    }
