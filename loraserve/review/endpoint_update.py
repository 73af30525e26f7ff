"""The update of a stage's endpoint that a change makes, read from the templates alone.

The endpoint refers to its config by `Fn::GetAtt`, and the config to its model. So a change of the model
replaces both, and the fleet, while the endpoint's own properties are equal on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loraserve.review.assembly import Stage
from loraserve.review.comparison import ResourceChange, StageComparison
from loraserve.review.difference import REPLACING, Difference, Json
from loraserve.review.values import Leaf, leaves, mapping, mappings, properties_of, referred
from stacks.config.rollout_plan import RolloutPlan, Strategy

MODEL, CONFIG, ENDPOINT = (
    "AWS::SageMaker::Model",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Endpoint",
)
#: Types of a blue/green update that shift the traffic in steps.
_SHIFTS: Mapping[str, Strategy] = {"CANARY": "canary", "LINEAR": "linear"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A resource of both sides that differs: one logical id, or the only one of its type on each side."""

    logical_id: str
    """On the head."""
    before: Mapping[str, Json]
    """Properties."""
    after: Mapping[str, Json]
    is_replaced: bool
    differences: tuple[Difference, ...]
    """Empty if it is equal, but refers to a replaced resource."""

    @property
    def leaves(self) -> list[Leaf]:
        """The values that differ, without tags, which CloudFormation changes in place."""
        return [
            leaf
            for leaf in leaves("", dict(self.before), dict(self.after))
            if leaf.path.split(".")[0] != "Tags"
        ]

    def of(self, *names: str) -> list[Difference]:
        """Return the differences of these properties, and those of the whole resource."""
        return [each for each in self.differences if each.name in names or not each.name]


@dataclass(frozen=True, kw_only=True)
class EndpointUpdate:
    """A call of UpdateEndpoint, which replaces the fleet."""

    endpoint: Pair | None
    """None if its own properties are equal."""
    configs: tuple[Pair, ...]
    models: tuple[Pair, ...]

    @property
    def is_of_config(self) -> bool:
        """True if the endpoint gets another config, not only another deployment configuration."""
        return bool(self.configs or self.models)

    @property
    def leaves(self) -> list[Leaf]:
        """The values of model and config that differ; references between them are left out."""
        return [
            leaf
            for pair in (*self.models, *self.configs)
            for leaf in pair.leaves
            if not _follows(leaf, pair, self.models)
        ]

    def leaf(self, path: str) -> Leaf | None:
        """Return the differing value at a path."""
        return next((leaf for leaf in self.leaves if leaf.path == path), None)


def endpoint_update(change: StageComparison) -> EndpointUpdate | None:
    """Return the update of the endpoint; None if there is none, or no endpoint on one of the sides."""
    if endpoint_of(change.before) is None or endpoint_of(change.after) is None:
        return None
    endpoint = next((pair for pair in pairs(change, ENDPOINT) if pair.is_replaced or pair.leaves), None)
    configs = tuple(pair for pair in pairs(change, CONFIG) if pair.is_replaced or pair.leaves)
    models = tuple(pair for pair in pairs(change, MODEL) if pair.is_replaced or pair.leaves)
    if endpoint is None and not configs and not models:
        return None
    return EndpointUpdate(endpoint=endpoint, configs=configs, models=models)


def pairs(change: StageComparison, kind: str) -> Iterator[Pair]:
    """Yield the resources of a type that differ, or refer to a replaced one, and are on both sides."""
    changed = change.of_type(kind)
    for each in changed:
        if each.before is not None and each.after is not None and each.before["Type"] == kind:
            yield _pair(each, each, each.impact in REPLACING)
    added, removed = lone(change, kind)
    if len(added) == len(removed) == 1:
        yield _pair(removed[0], added[0], True)
    for (stack, logical_id), impact in change.impacts.items():
        after = None if change.after is None else change.after.stacks.get(stack)
        resource = None if after is None else after.resources.get(logical_id)
        known = any(each.logical_id == logical_id and each.stack == stack for each in changed)
        if resource is not None and resource["Type"] == kind and impact in REPLACING and not known:
            properties = resource.get("Properties", {})
            yield Pair(
                logical_id=logical_id, before=properties, after=properties, is_replaced=True, differences=()
            )


def lone(change: StageComparison, kind: str) -> tuple[list[ResourceChange], list[ResourceChange]]:
    """Return the added and the removed resources of a type, in stacks that both sides have."""
    kept = [each for each in change.of_type(kind) if _is_kept(change, each.stack)]
    return [each for each in kept if each.is_added], [each for each in kept if each.is_removed]


def endpoint_of(stage: Stage | None) -> Mapping[str, Any] | None:
    """Return the properties of the stage's endpoint; None if it has none."""
    return next(properties_of(stage, ENDPOINT), None)


def variant_of(stage: Stage | None) -> Mapping[str, Any]:
    """Return the first variant of the stage's endpoint config; empty if there is none."""
    config = next(properties_of(stage, CONFIG), {})
    return next(iter(mappings(config.get("ProductionVariants"))), {})


def model_environment(stage: Stage | None) -> Mapping[str, Any]:
    """Return the variables of the model's container."""
    model = next(properties_of(stage, MODEL), {})
    return mapping(mapping(model.get("PrimaryContainer")).get("Environment"))


def is_autoscaled(stage: Stage | None) -> bool:
    """Return whether Application Auto Scaling sets the number of instances."""
    return any(True for _ in properties_of(stage, "AWS::ApplicationAutoScaling::ScalableTarget"))


def fleet_sizes(stage: Stage | None) -> range:
    """Return the numbers of instances that the fleet can have: autoscaling's, or the config's."""
    numbers = []
    for target in properties_of(stage, "AWS::ApplicationAutoScaling::ScalableTarget"):
        schedules = mappings(target.get("ScheduledActions"))
        actions = [mapping(each.get("ScalableTargetAction")) for each in schedules]
        for limits in (target, *actions):
            numbers += [number(limits.get("MinCapacity")), number(limits.get("MaxCapacity"))]
    found = [each for each in numbers if each] or [number(variant_of(stage).get("InitialInstanceCount")) or 1]
    return range(min(found), max(found) + 1)


def plan_of(stage: Stage | None, instances: int) -> RolloutPlan:
    """Return the rollout of a fleet of this size, by the endpoint's deployment configuration.

    Without one SageMaker shifts all traffic at once and keeps no old instances (API reference of
    DeploymentConfig: all at once is the default of a blue/green update).
    """
    config = mapping((endpoint_of(stage) or {}).get("DeploymentConfig"))
    rolling = mapping(config.get("RollingUpdatePolicy"))
    blue_green = mapping(config.get("BlueGreenUpdatePolicy"))
    routing = mapping(blue_green.get("TrafficRoutingConfiguration"))
    shift = _SHIFTS.get(str(routing.get("Type")), "all_at_once")
    strategy: Strategy = "rolling" if rolling else shift
    step = mapping(routing.get("LinearStepSize")) or mapping(routing.get("CanarySize"))
    policy = rolling or routing
    return RolloutPlan(
        strategy=strategy,
        step_percent=_percent(step, instances),
        step_seconds=number(policy.get("WaitIntervalInSeconds")),
        batch_percent=_percent(mapping(rolling.get("MaximumBatchSize")), instances),
        bake_seconds=number(blue_green.get("TerminationWaitInSeconds")),
        instance_seconds=0,
        fewest_instances=instances,
        most_instances=instances,
    )


def least_pauses(change: StageComparison) -> int:
    """Return the pauses of the shortest update that a fleet of either side can have, in seconds."""
    sizes = {*fleet_sizes(change.before), *fleet_sizes(change.after)}
    return min(plan_of(change.after, size).pauses_seconds for size in sizes)


def number(value: Json) -> int:
    """Return a whole number of a template, which may be written as text; 0 for another value."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def may_be_lower(before: Json, after: Json) -> bool:
    """Return whether a number falls, or one of both is not known: an absent one, or a condition."""
    old, new = number(before), number(after)
    return not old or not new or new < old


def rollback_alarms(stage: Stage | None) -> list[str]:
    """Return the names of the alarms that roll an update back, without the endpoint's name."""
    endpoint = endpoint_of(stage) or {}
    config = mapping(mapping(endpoint.get("DeploymentConfig")).get("AutoRollbackConfiguration"))
    names = [str(alarm.get("AlarmName")) for alarm in mappings(config.get("Alarms"))]
    return [name.removeprefix(f"{endpoint.get('EndpointName')}-") for name in names]


def _percent(size: Mapping[str, Json], instances: int) -> int:
    """Return a share of the fleet, of 1 at least, that is given in percent or as instances."""
    value = number(size.get("Value"))
    return max(1, value if size.get("Type") != "INSTANCE_COUNT" else 100 * value // instances)


def _pair(before: ResourceChange, after: ResourceChange, is_replaced: bool) -> Pair:
    differences = before.differences if before is after else (*before.differences, *after.differences)
    return Pair(
        logical_id=after.logical_id,
        before=(before.before or {}).get("Properties", {}),
        after=(after.after or {}).get("Properties", {}),
        is_replaced=is_replaced,
        differences=differences,
    )


def _is_kept(change: StageComparison, stack: str) -> bool:
    return all(side is not None and stack in side.stacks for side in (change.before, change.after))


def _follows(leaf: Leaf, pair: Pair, models: tuple[Pair, ...]) -> bool:
    """Return whether a variant's model is named anew only because its logical id changed."""
    return (
        leaf.path == "ProductionVariants.ModelName"
        and referred(leaf.before) is not None
        and referred(leaf.after) in {model.logical_id for model in models}
    )
