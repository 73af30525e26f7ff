"""Deployment configuration of the endpoint: strategy, guards, and what an update keeps of the variant."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference
from loraserve.review.endpoint_update import (
    ENDPOINT,
    Pair,
    fleet_sizes,
    is_autoscaled,
    least_pauses,
    pairs,
    plan_of,
    rollback_alarms,
)
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import Leaf, is_object, mappings, text, title

#: Least period of an alarm on SageMaker's metrics: after a shorter pause no alarm has seen the new fleet.
_ALARM_SECONDS = 60
_RETAINS = ("RetainAllVariantProperties", "ExcludeRetainedVariantProperties")
_ALARMS = "DeploymentConfig.AutoRollbackConfiguration.Alarms"
_ROLLING, _BLUE_GREEN = "DeploymentConfig.RollingUpdatePolicy.", "DeploymentConfig.BlueGreenUpdatePolicy."
_ROLLBACK_BATCH = f"{_ROLLING}RollbackMaximumBatchSize"
_ROUTING = f"{_BLUE_GREEN}TrafficRoutingConfiguration."
_SIZES = (
    f"{_ROLLING}MaximumBatchSize",
    _ROLLBACK_BATCH,
    f"{_ROUTING}CanarySize",
    f"{_ROUTING}LinearStepSize",
)
#: Parts of the deployment configuration that the rules below judge.
_KNOWN = frozenset(
    {
        _ALARMS,
        f"{_ALARMS}.AlarmName",
        *(f"{size}.{part}" for size in _SIZES for part in ("Type", "Value")),
        f"{_ROLLING}WaitIntervalInSeconds",
        f"{_ROLLING}MaximumExecutionTimeoutInSeconds",
        f"{_ROUTING}Type",
        f"{_ROUTING}WaitIntervalInSeconds",
        f"{_BLUE_GREEN}TerminationWaitInSeconds",
        f"{_BLUE_GREEN}MaximumExecutionTimeoutInSeconds",
    }
)


def rollout(change: StageComparison) -> Iterator[ReviewFinding]:
    """Yield the changes of later updates, which this one is made by as well."""
    endpoint = next(pairs(change, ENDPOINT), None)
    found = [] if endpoint is None else endpoint.of("DeploymentConfig")
    if endpoint is not None and any(each.name for each in found):
        if all(is_object(each) for side in found for each in (side.before, side.after)):
            yield _strategy(change, (*found, *change.facts("rollout")))
            yield from _unguarded(change, endpoint)
        yield from _unknown(change, endpoint)
    elif facts := change.facts("rollout.pauses_seconds"):
        # Batches of another size of the fleet.
        yield _strategy(change, tuple(facts))
    if endpoint is not None:
        yield from _retained(change, endpoint)


def _strategy(change: StageComparison, differences: tuple[Difference, ...]) -> ReviewFinding:
    size = max(2, fleet_sizes(change.after)[0])
    before, after = (plan_of(side, size) for side in (change.before, change.after))
    pauses = least_pauses(change)
    unseen = pauses < _ALARM_SECONDS
    words = after.strategy.replace("_", " ")
    if before.strategy != after.strategy:
        words += f" instead of {before.strategy.replace('_', ' ')}"
    return ReviewFinding(
        rule="rollover.strategy",
        level=Level.REVIEW if unseen else Level.ROUTINE,
        stage=change.id,
        title=title(f"updates of the endpoint: {words}, at least {pauses} s of pauses"),
        consequence="The old fleet is gone before an alarm can see the new one."
        if unseen
        else "It holds for this update and all later ones.",
        action="Set rollout.step_seconds or rollout.bake_seconds." if unseen else "",
        details=tuple(f"{leaf.path}: {leaf.values}" for leaf in _leaves(change)),
        differences=differences,
    )


def _unguarded(change: StageComparison, endpoint: Pair) -> Iterator[ReviewFinding]:
    before, after = rollback_alarms(change.before), rollback_alarms(change.after)
    lost = [name for name in before if name not in after]
    if lost:
        yield ReviewFinding(
            rule="rollover.unguarded",
            level=Level.REVIEW,
            stage=change.id,
            title=title(
                f"{len(lost)} of {len(before)} alarms roll no update back any more: {', '.join(lost)}"
            )
            if after
            else "no alarm rolls an update back any more",
            consequence="An update goes on although the new fleet fails as these alarms measure it.",
            action="Keep rollout.rollback_on_alarms on.",
            details=tuple(lost),
            differences=tuple(endpoint.of("DeploymentConfig")),
            before=before,
            after=after,
        )
    batch = [leaf for leaf in endpoint.leaves if leaf.path.startswith(_ROLLBACK_BATCH)]
    if any(leaf.after is None for leaf in batch) and plan_of(change.after, 2).strategy == "rolling":
        yield ReviewFinding(
            rule="rollover.rollback",
            level=Level.REVIEW,
            stage=change.id,
            title="a rollback starts the whole old fleet at once",
            consequence="It needs twice the instances of quota, and without them the rollback fails.",
            action="Set RollbackMaximumBatchSize.",
            differences=tuple(endpoint.of("DeploymentConfig")),
        )


def _unknown(change: StageComparison, endpoint: Pair) -> Iterator[ReviewFinding]:
    for leaf in endpoint.leaves:
        if leaf.path.split(".")[0] == "DeploymentConfig" and leaf.path not in _KNOWN:
            yield ReviewFinding(
                rule="unknown.property",
                level=Level.REVIEW,
                stage=change.id,
                title=title(f"{leaf.path} changes: {leaf.values}"),
                consequence="No rule knows this part of the endpoint's deployment configuration.",
                action="Read its documentation in CloudFormation's reference.",
                differences=tuple(endpoint.of("DeploymentConfig")),
                before=leaf.before,
                after=leaf.after,
            )


def _retained(change: StageComparison, endpoint: Pair) -> Iterator[ReviewFinding]:
    """Judge what an update keeps: with autoscaling the number of instances, and without it the template's."""
    differences = tuple(each for each in endpoint.of(*_RETAINS) if each.name)
    if not differences:
        return
    retained = endpoint.after.get(_RETAINS[0]) is True
    excluded = [text(each.get("VariantPropertyType")) for each in mappings(endpoint.after.get(_RETAINS[1]))]
    # As `stacks.serving` writes it: the count follows the template where autoscaling does not set it.
    designed = retained and excluded == ([] if is_autoscaled(change.after) else ["DesiredInstanceCount"])
    thrown = is_autoscaled(change.after) and (not retained or "DesiredInstanceCount" in excluded)
    if designed:
        words = "an update keeps " + ("autoscaling's" if is_autoscaled(change.after) else "the template's")
        named, consequence = f"{words} number of instances", "It follows from autoscaling.enabled."
    elif thrown:
        named = "an update throws away the number of instances that autoscaling chose"
        consequence = "Each update begins with endpoint.instance_count, however high the load is."
    else:
        named = f"an update keeps other properties of the variant: all but {', '.join(excluded) or 'none'}"
        consequence = "Number of instances or weights are others after an update than before it."
    yield ReviewFinding(
        rule="capacity.reset",
        level=Level.ROUTINE if designed else Level.REVIEW,
        stage=change.id,
        title=title(named),
        consequence=consequence,
        differences=differences,
        before=[endpoint.before.get(name) for name in _RETAINS],
        after=[endpoint.after.get(name) for name in _RETAINS],
    )


def _leaves(change: StageComparison) -> list[Leaf]:
    endpoint = next(pairs(change, ENDPOINT), None)
    found = [] if endpoint is None else endpoint.leaves
    return [leaf for leaf in found if leaf.path.split(".")[0] == "DeploymentConfig"]
