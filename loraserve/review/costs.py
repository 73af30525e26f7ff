"""Cost of a stage from its facts, by the prices of the working tree: both sides by one table."""

from __future__ import annotations

from collections import Counter

from loraserve.review.assembly import Stage
from loraserve.review.difference import Json
from loraserve.review.values import mappings, output_texts
from stacks.facts import StageFacts
from stacks.sizing.cost_estimate import BilledUsage, Estimate, Prices, estimate

#: Output of the Serving stack with the cost, as the side's own synth estimates it.
OUTPUT = "MonthlyCost"
#: Network resources that are billed by the hour; a gateway endpoint is free.
_HOURLY = ("AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::VPCEndpoint")


def estimate_of(facts: StageFacts | None, prices: Prices | None = None) -> Estimate | None:
    """Estimate the cost in the stage's own region; None without facts, or where the table has no price.

    `prices` is for another table than the working tree's.
    """
    if facts is None:
        return None
    fleet, billed = facts.fleet, facts.billed
    usage = BilledUsage(
        instance_type=fleet.instance_type,
        minimum=fleet.minimum,
        expected=fleet.expected,
        maximum=fleet.maximum,
        **billed.model_dump(),
    )
    return estimate(usage, prices)


def printed_cost(stage: Stage) -> str | None:
    """Return the side's own line of its cost, from the outputs; None if it has none."""
    return next(output_texts(stage, OUTPUT), None)


def priced_resources(stage: Stage) -> Json:
    """Collect what most of the bill depends on, from the templates: two equal results cost about the same."""
    fleets, counts = [], Counter[str]()
    for stack in stage.stacks.values():
        for resource in stack.resources.values():
            properties = resource.get("Properties", {})
            match resource["Type"]:
                case "AWS::SageMaker::EndpointConfig":
                    fleets.append(
                        [
                            [variant.get("InstanceType"), variant.get("InitialInstanceCount")]
                            for variant in mappings(properties.get("ProductionVariants"))
                        ]
                    )
                case "AWS::ApplicationAutoScaling::ScalableTarget":
                    keys = ("MinCapacity", "MaxCapacity", "ScheduledActions")
                    fleets.append([properties.get(key) for key in keys])
                case kind if kind in _HOURLY and properties.get("VpcEndpointType") != "Gateway":
                    subnets = properties.get("SubnetIds")
                    counts[kind] += len(subnets) if isinstance(subnets, list) else 1
    return [fleets, dict(counts), sorted({stack.region for stack in stage.stacks.values()})]
