"""Replacement of the endpoint's fleet: its causes, and how long it takes at least."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from loraserve.review.causes import (
    DOWNLOAD,
    INSTANCE_COUNT,
    INSTANCE_TYPE,
    STARTUP,
    WORDS,
    cause,
    causes,
    facts_of,
    unknown_leaves,
)
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Kind
from loraserve.review.endpoint_update import (
    EndpointUpdate,
    Pair,
    endpoint_of,
    endpoint_update,
    fleet_sizes,
    is_autoscaled,
    least_pauses,
    may_be_lower,
    plan_of,
    variant_of,
)
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import Leaf, referred, text, title

#: SageMaker's rolling update replaces at most half of a fleet at a time.
_FEWEST_OF_ROLLING = 2
#: Properties of the endpoint that say how it is updated, not what it serves.
_KEEPS_FLEET = {"DeploymentConfig", "RetainAllVariantProperties", "ExcludeRetainedVariantProperties"}
#: Causes in a title.
_MAX_CAUSES = 3


def rollover(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield the new fleet, and what is remarkable about it."""
    update = endpoint_update(change)
    if update is None:
        return
    if update.is_of_config:
        yield _fleet(change, update)
        yield from _unknown(change, update)
        yield from _timeouts(change, update)
    yield from _for_nothing(change, update)
    yield from _order(change, update)


def requests_meanwhile(change: StageComparison) -> str:
    """Describe what requests meet meanwhile, e.g. `served, rolling, ≥ 10 min`; `=` without an update."""
    if endpoint_of(change.before) is None:
        return "=" if endpoint_of(change.after) is None else "new endpoint"
    if endpoint_of(change.after) is None:
        # A stage or stack that leaves the app stays deployed; an endpoint that leaves its stack does not.
        is_kept = change.after is None or "Serving" not in change.after.stacks
        return "=" if is_kept else "fail: the endpoint is deleted"
    update = endpoint_update(change)
    if update is None:
        return "="
    if update.endpoint is not None and update.endpoint.is_replaced:
        return "fail: the endpoint is replaced"
    return f"served, {_strategy(change)}, ≥ {_minutes(change)} min"


def _fleet(change: StageComparison, update: EndpointUpdate) -> ReviewFinding:
    most = fleet_sizes(change.after)[-1]
    plan = plan_of(change.after, most)
    extra, quota = plan.quota(most) - most, plan.quota(most)
    named = causes(change, update)
    shown = ", ".join(named[:_MAX_CAUSES]) + (
        f" and {len(named) - _MAX_CAUSES} more" if len(named) > _MAX_CAUSES else ""
    )
    instance = variant_of(change.after).get("InstanceType")
    return ReviewFinding(
        rule="rollover.fleet",
        level=Level.ROLLOVER,
        stage=change.id,
        title=title(
            f"all instances are replaced: {_strategy(change)}, at least {_minutes(change)} min, "
            f"up to {extra} more, quota of {quota}"
        ),
        consequence=f"Changed: {shown}. The endpoint serves meanwhile.",
        details=(
            *dict.fromkeys(f"{cause(leaf)}: {leaf.values}" for leaf in update.leaves),
            f"the minutes are those of the pauses; the start of each instance ({instance}) is added",
        ),
        differences=(
            *(each for pair in (*update.models, *update.configs) for each in _own(pair)),
            *_config_name(update),
            *facts_of(change, update),
        ),
    )


def _own(pair: Pair) -> Iterator[Difference]:
    return (each for each in pair.differences if each.name != "Tags" and each.kind is not Kind.ATTRIBUTE)


def _config_name(update: EndpointUpdate) -> Iterator[Difference]:
    """Yield the endpoint's reference to the config, if that is one of the template's."""
    for each in () if update.endpoint is None else update.endpoint.of("EndpointConfigName"):
        if each.name and referred(each.after) in {config.logical_id for config in update.configs}:
            yield each


def _unknown(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    found = unknown_leaves(change, update)
    if found:
        more = f" and {len(found) - 1} more" if found[1:] else ""
        yield ReviewFinding(
            rule="unknown.property",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"{found[0].path} of the endpoint changes{more}"),
            consequence="No rule knows this part of the model or of the endpoint config.",
            action="Read its documentation in CloudFormation's reference.",
            details=tuple(f"{leaf.path}: {leaf.values}" for leaf in found),
            differences=_behind(update, *found),
        )


def _timeouts(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    timeouts = [leaf for leaf in update.leaves if leaf.path in (STARTUP, DOWNLOAD)]
    # Without the property SageMaker's limit counts, which is not known here.
    shorter = [leaf for leaf in timeouts if may_be_lower(leaf.before, leaf.after)]
    if shorter:
        words = " and ".join(f"{WORDS[leaf.path]} {leaf.values}" for leaf in shorter)
        yield ReviewFinding(
            rule="rollover.timeout",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"an instance has less time to start: {words}"),
            consequence="An instance that needs longer fails the update, and later every scale-out.",
            action="Compare it with the start times of the present instances.",
            details=(words,),
            differences=_behind(update, *shorter),
        )


def _for_nothing(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    endpoint = update.endpoint
    if endpoint is not None and endpoint.is_replaced:
        return
    if update.is_of_config:
        leaf = update.leaf(INSTANCE_COUNT)
        if leaf is None or len(update.leaves) > 1 or not _keeps_count(change):
            return
        what, differences = f"endpoint.instance_count {leaf.values}", _behind(update, leaf)
        why = "Autoscaling sets the number of instances, and an update keeps it."
    elif endpoint is not None:
        names = list(dict.fromkeys(leaf.path.split(".")[0] for leaf in endpoint.leaves))
        if not set(names) <= _KEEPS_FLEET:  # it may serve something else
            return
        what = "rollout" if names == ["DeploymentConfig"] else ", ".join(names)
        differences = tuple(endpoint.of(*names))
        why = "CloudFormation calls UpdateEndpoint for it, which starts a new fleet."
    else:
        return
    yield ReviewFinding(
        rule="rollover.for-nothing",
        level=Level.REVIEW,
        stage=change.id,
        title=title(f"a new fleet that serves the same: only {what} changes"),
        consequence=why,
        action="Make it together with the next change that needs a new fleet.",
        differences=differences,
    )


def _keeps_count(change: StageComparison) -> bool:
    """Return whether autoscaling's number of instances counts, before and after the update."""
    endpoint = endpoint_of(change.after) or {}
    excluded = endpoint.get("ExcludeRetainedVariantProperties")
    return (
        endpoint.get("RetainAllVariantProperties") is True
        and not excluded
        and is_autoscaled(change.before)
        and is_autoscaled(change.after)
    )


def _order(change: StageComparison, update: EndpointUpdate) -> Iterator[ReviewFinding]:
    leaf = update.leaf(INSTANCE_TYPE)
    if leaf is not None:
        words = f"{text(leaf.after)} instead of {text(leaf.before)}"
        scaled = is_autoscaled(change.before)
        yield ReviewFinding(
            rule="rollover.order",
            level=Level.REVIEW,
            stage=change.id,
            title=title(f"{words}: only `make deploy` can do it" if scaled else f"{words} for all instances"),
            consequence="SageMaker refuses it for an autoscaled variant: autoscaling is removed for the "
            "update, and the endpoint does not scale meanwhile."
            if scaled
            else "The account needs a quota of the new type for the whole fleet.",
            action="Deploy it with `make deploy`, at a time of even load." if scaled else "Check the quota.",
            differences=_behind(update, leaf),
            before=leaf.before,
            after=leaf.after,
        )
    rolling = plan_of(change.after, _FEWEST_OF_ROLLING).strategy == "rolling"
    if rolling and fleet_sizes(change.before)[0] < _FEWEST_OF_ROLLING:
        parts = (*(update.configs), *((update.endpoint,) if update.endpoint is not None else ()))
        yield ReviewFinding(
            rule="rollover.order",
            level=Level.REVIEW,
            stage=change.id,
            title="one instance becomes a rolling fleet: only `make deploy` can do it",
            consequence="SageMaker refuses a rolling update of a single instance, so the endpoint gets more "
            "instances before the update.",
            action="Deploy it with `make deploy`.",
            differences=tuple(
                each for pair in parts for each in pair.of("ProductionVariants", "DeploymentConfig")
            ),
        )


def _behind(update: EndpointUpdate, *found: Leaf) -> tuple[Difference, ...]:
    """Return the differences of the properties that have these values."""
    return tuple(
        each
        for pair in (*update.models, *update.configs)
        for each in pair.of(*(leaf.path.split(".")[0] for leaf in found if leaf in pair.leaves))
        if any(leaf in pair.leaves for leaf in found)
    )


def _strategy(change: StageComparison) -> str:
    return plan_of(change.after, _FEWEST_OF_ROLLING).strategy.replace("_", " ")


def _minutes(change: StageComparison) -> int:
    return ceil(least_pauses(change) / 60)
