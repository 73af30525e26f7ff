"""The network: a replaced VPC, ways to the internet, VPC endpoints, flow logs.

Rules of security groups and policies of VPC endpoints are judged with the other rules on access.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loraserve.review.comparison import ResourceChange, StageComparison, equal
from loraserve.review.difference import REPLACING, Difference, Kind
from loraserve.review.endpoint_update import CONFIG, MODEL, pairs
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.resources import changed, is_whole, label
from loraserve.review.values import leaves, properties, text, title

_VPC = "AWS::EC2::VPC"
_SUBNET = "AWS::EC2::Subnet"
_GROUP = "AWS::EC2::SecurityGroup"
_ROUTE = "AWS::EC2::Route"
_ENDPOINT = "AWS::EC2::VPCEndpoint"
_FLOW_LOG = "AWS::EC2::FlowLog"
_ADDRESS = "AWS::EC2::EIP"
_VPC_CONFIG = "VpcConfig"
#: Where instances are; replacing one replaces what is in it.
_PLACES = (_VPC, _SUBNET, _GROUP)
#: What carries traffic to and from the internet.
_GATEWAYS = (
    "AWS::EC2::NatGateway",
    _ADDRESS,
    "AWS::EC2::InternetGateway",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::EgressOnlyInternetGateway",
)
#: What connects these, without effect alone.
_PLUMBING = ("AWS::EC2::RouteTable", "AWS::EC2::SubnetRouteTableAssociation")
_ALL = (_VPC, _SUBNET, _ROUTE, _ENDPOINT, *_GATEWAYS, *_PLUMBING)
#: Properties that other rules judge, by type.
_OTHERS = {
    _ENDPOINT: {"PolicyDocument"},
    _GROUP: {"SecurityGroupIngress", "SecurityGroupEgress"},
}
#: Titles of changes of the network, the gravest first, and what they mean.
_CONSEQUENCES = {
    "a way out of the VPC is new": "The container reaches addresses that it did not reach before.",
    "ways through the network are removed": "What the container or its callers reached on them is gone.",
    "the container is connected otherwise": "Traffic may take another way, or none.",
}


@dataclass(frozen=True)
class _Change:
    """A difference of a network resource, in words."""

    text: str
    difference: Difference


def network(change: StageComparison) -> Iterator[ReviewFinding]:
    """Find changes of the network that instances and callers use."""
    replaced = list(_replaced(change))
    if replaced:
        yield _vpc(change, replaced)
    claimed = {each.difference for each in replaced}
    ways = _ways(change, claimed)
    facts = change.facts("network")
    if facts or any(ways.values()):
        yield _access(change, ways, facts)
    yield from _flow_logs(change, claimed)


def _access(
    change: StageComparison, ways: Mapping[str, Sequence[_Change]], facts: Sequence[Difference]
) -> ReviewFinding:
    found = [verb for verb, changes in ways.items() if changes]
    mode = f"network {facts[0].after} instead of {facts[0].before}" if facts else ""
    return ReviewFinding(
        rule="access.network",
        level=Level.REVIEW,
        stage=change.id,
        title=title(": ".join(filter(None, [mode, found[0] if found else ""]))),
        consequence=_CONSEQUENCES[found[0]]
        if found
        else "The container reaches the internet and AWS on another way.",
        action="Check that the engine, the Hub and callers are reached as intended.",
        details=tuple(each.text for changes in ways.values() for each in changes),
        differences=(*facts, *(each.difference for changes in ways.values() for each in changes)),
    )


def _replaced(change: StageComparison) -> Iterator[_Change]:
    """Yield replaced or removed places, and what is replaced with them."""
    resources = sorted(changed(change, *_PLACES), key=lambda each: _PLACES.index(each.type))
    causes = [
        _Change(f"{label(each)}: {one.name} {text(one.after)} instead of {text(one.before)}", one)
        for each in resources
        for one in _own(each)
        if one.kind is Kind.PROPERTY and one.impact in REPLACING
    ]
    causes += [
        _Change(f"{label(each)} is removed", each.differences[0])
        for each in resources
        if each.is_removed and (each.type == _VPC or _is_read(change, each))
    ]
    yield from causes
    if causes:
        yield from (
            _Change(f"{label(each)} is made again", one)
            for each in changed(change, *_ALL, _FLOW_LOG)
            for one in _own(each)
            if one.kind is Kind.PROPERTY and one.impact in REPLACING and each.type not in _PLACES
        )


def _is_read(change: StageComparison, resource: ResourceChange) -> bool:
    """Return True if the base's stack exports the resource: the subnets of the instances are."""
    stack = None if change.before is None else change.before.stacks.get(resource.stack)
    outputs = {} if stack is None else stack.template.get("Outputs", {})
    return any(
        "Export" in output and f'"{resource.logical_id}"' in json.dumps(output["Value"])
        for output in outputs.values()
    )


def _vpc(change: StageComparison, replaced: Sequence[_Change]) -> ReviewFinding:
    return ReviewFinding(
        rule="identity.vpc",
        level=Level.BLOCK,
        stage=change.id,
        title=title(f"the VPC or its subnets are replaced: {replaced[0].text}"),
        consequence="They cannot be changed once deployed: the instances are in them, and CloudFormation "
        "refuses the update while another stack uses them.",
        action="Make another stage with the new network, and move the callers.",
        details=tuple(each.text for each in replaced),
        differences=tuple(each.difference for each in replaced),
    )


def _own(resource: ResourceChange) -> list[Difference]:
    """Return the differences that no other rule judges."""
    others = _OTHERS.get(resource.type, set())
    return [each for each in resource.differences if each.name not in others and each.name != "Tags"]


def _ways(change: StageComparison, claimed: set[Difference]) -> dict[str, list[_Change]]:
    """Return ways that open, ways that close, and other changes of the network, by their titles."""
    found: dict[str, list[_Change]] = {verb: [] for verb in _CONSEQUENCES}
    opened, closed, others = found.values()
    others += _of_container(change)
    groups = [each for each in changed(change, _GROUP) if each.is_removed]
    for resource in (*changed(change, *_ALL), *groups):
        name = f"{resource.type.removeprefix('AWS::EC2::')} {label(resource)}"
        whole = resource.differences[0]
        if resource.is_added:
            is_way_out = resource.type in (_ROUTE, *_GATEWAYS)
            (opened if is_way_out else others).append(_Change(f"{name} is new{_to(resource)}", whole))
        elif resource.is_removed and whole not in claimed:
            is_way = resource.type in (_ROUTE, _ENDPOINT, *_GATEWAYS)
            (closed if is_way else others).append(_Change(f"{name} is removed{_to(resource)}", whole))
        elif not is_whole(resource):
            others += [
                _Change(
                    f"{name}: {each.name} {text(each.after)} instead of {text(each.before)}{_effect(each)}",
                    each,
                )
                for each in _own(resource)
                if each.kind is Kind.PROPERTY and each not in claimed
            ]
    return found


def _of_container(change: StageComparison) -> Iterator[_Change]:
    """Yield other subnets or security groups of the container."""
    for pair in (*pairs(change, MODEL), *pairs(change, CONFIG)):
        before, after = pair.before.get(_VPC_CONFIG), pair.after.get(_VPC_CONFIG)
        if not equal(before, after):
            lines = "; ".join(f"{leaf.path}: {leaf.values}" for leaf in leaves(_VPC_CONFIG, before, after))
            yield from (_Change(lines, each) for each in pair.of(_VPC_CONFIG))


def _to(resource: ResourceChange) -> str:
    values = properties(resource.after or resource.before)
    destination = values.get(
        "DestinationCidrBlock", values.get("DestinationIpv6CidrBlock", values.get("ServiceName"))
    )
    return "" if destination is None else f": {text(destination)}"


def _effect(difference: Difference) -> str:
    if difference.type == _ADDRESS and difference.impact in REPLACING:
        return ", another public address: others' allow lists name the old one"
    if difference.name == "PrivateDnsEnabled":
        return ", the service's public name resolves to other addresses"
    return ""


def _flow_logs(change: StageComparison, claimed: set[Difference]) -> Iterator[ReviewFinding]:
    """Yield flow logs that come, go or log otherwise."""
    for resource in changed(change, _FLOW_LOG):
        differences = [
            each
            for each in resource.differences
            if each not in claimed and each.name != "Tags" and each.kind in (Kind.PROPERTY, Kind.RESOURCE)
        ]
        if not differences:
            continue
        says = "is new" if resource.is_added else "is deleted" if resource.is_removed else "logs otherwise"
        yield ReviewFinding(
            rule="alarms.blind",
            level=Level.ROUTINE if resource.is_added else Level.REVIEW,
            stage=change.id,
            title=title(f"flow log `{label(resource)}` {says}"),
            consequence="Connections of the VPC are logged."
            if resource.is_added
            else "Connections of the VPC may not be logged.",
            action="" if resource.is_added else "Keep the flow log, or say why it is not needed.",
            details=tuple(
                f"{each.name} {text(each.after)} instead of {text(each.before)}"
                for each in differences
                if each.name
            ),
            differences=tuple(differences),
        )
