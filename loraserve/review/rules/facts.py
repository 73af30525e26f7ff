"""Facts that disagree with the templates: titles, costs and levels that use them would be wrong."""

from __future__ import annotations

from collections.abc import Iterator

from loraserve.review.adapter_changes import manifest_adapters
from loraserve.review.assembly import Stage
from loraserve.review.capacity_limits import InstanceRange, instance_count, limits_of, targets_of
from loraserve.review.comparison import StageComparison, equal
from loraserve.review.difference import Json
from loraserve.review.endpoint_update import endpoint_of, variant_of
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.values import properties, resources_of, text, title


def facts(change: StageComparison) -> Iterator[ReviewFinding]:
    """Compare the head's facts with its templates and its packed manifest, if the stage differs at all."""
    if change.after is None or change.after.facts is None or not change.differences:
        return
    found = [(name, fact, value) for name, fact, value in _pairs(change.after) if not equal(fact, value)]
    if found:
        name, fact, value = found[0]
        more = f", and {len(found) - 1} more" if found[1:] else ""
        yield ReviewFinding(
            rule="tooling.facts",
            level=Level.REVIEW,
            stage=change.id,
            title=title(
                f"the facts disagree with the templates: {name} {text(fact)}, not {text(value)}{more}"
            ),
            consequence="Cost and adapters of this review follow the facts, a deployment the templates.",
            action="Correct `stacks/stage_facts.py`, or the code that changes the templates after it.",
            details=tuple(
                f"{name}: facts {text(fact)}, templates {text(value)}" for name, fact, value in found
            ),
        )


def _pairs(stage: Stage) -> Iterator[tuple[str, Json, Json]]:
    """Yield what facts and templates both say: name, fact, value of the templates."""
    stated = stage.facts
    if stated is None or endpoint_of(stage) is None:
        return
    yield "fleet.instance_type", stated.fleet.instance_type, variant_of(stage).get("InstanceType")
    limits = list(_limits(stage))
    if limits:
        yield "fleet.minimum", stated.fleet.minimum, min(each.minimum for each in limits)
        yield "fleet.maximum", stated.fleet.maximum, max(each.maximum for each in limits)
    regions = {stack.region for stack in stage.stacks.values()}
    if len(regions) == 1:
        yield "billed.region", stated.billed.region, regions.pop()
    models = [properties(each) for _, _, each in resources_of(stage, "AWS::SageMaker::Model")]
    in_vpc = any("VpcConfig" in each for each in models)
    if in_vpc is (stated.network == "public"):
        yield "network", stated.network, "a VPC" if in_vpc else "public"
    packed = manifest_adapters(stage)
    if packed is not None:
        entries, read = (
            [each.model_dump(mode="json") for each in side] for side in (stated.adapters, packed)
        )
        yield "adapters", entries, read


def _limits(stage: Stage) -> Iterator[InstanceRange]:
    """Yield the limits of the fleet, those of schedules too; none that are no numbers."""
    targets = targets_of(stage)
    count = instance_count(stage)
    if not targets and count is not None:
        yield InstanceRange(count, count)
    for target in targets:
        yield from (limits_of(target) or {}).values()
