"""Rules on security groups: connections that the base does not allow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loraserve.review.access.conditions import TEMPLATE, is_most_of_the_internet, within_network
from loraserve.review.access.holders import may_differ
from loraserve.review.access.text import NO_VALUE, Resolver
from loraserve.review.access.wording import Words, title
from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Difference, Json, Kind
from loraserve.review.finding import Level, ReviewFinding

GROUP = "AWS::EC2::SecurityGroup"
_RULES = {"AWS::EC2::SecurityGroupIngress": "ingress", "AWS::EC2::SecurityGroupEgress": "egress"}
_LISTS = {"SecurityGroupIngress": "ingress", "SecurityGroupEgress": "egress"}
_NETWORKS = ("CidrIp", "CidrIpv6")
_PEERS = (
    *_NETWORKS, "SourceSecurityGroupId", "SourceSecurityGroupName", "SourcePrefixListId",
    "DestinationSecurityGroupId", "DestinationPrefixListId",
)  # fmt: skip
#: Protocol that includes all, and protocols by their numbers (EC2 API, IpPermission).
_ALL = "-1"
_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
#: Rules that EC2 adds to a group without egress rules (AWS::EC2::SecurityGroup, SecurityGroupEgress).
_DEFAULT_EGRESS = (
    {"IpProtocol": _ALL, "CidrIp": "0.0.0.0/0"},
    {"IpProtocol": _ALL, "CidrIpv6": "::/0"},
)


@dataclass(frozen=True)
class Connection:
    """Connections that a rule of a security group allows."""

    group: str
    direction: str
    protocol: str
    ports: tuple[str, str]
    peer: str
    """Network, security group or prefix list; a rule that cannot be read as a whole."""
    case: str = ""
    """Case of the template's condition in which the rule exists; empty for always."""

    @property
    def is_public(self) -> bool:
        """True if the peer is the internet, or most of it."""
        return is_most_of_the_internet(self.peer)


def security_groups(change: StageComparison) -> Iterator[ReviewFinding]:
    """Compare the connections that security groups allow."""
    if not may_differ(change, GROUP, *_RULES):
        return
    before, after = _connections(change.before), _connections(change.after)
    added = [each for each in after if not any(_covers(other, each) for other in before)]
    explained: set[Difference] = set()
    words = Words(change)
    for level, direction, connections in _by_level(change, added):
        differences = tuple(
            dict.fromkeys(one for each in connections for one in after[each] if one in _of(change))
        )
        explained |= set(differences)
        if not differences and level < Level.REVIEW:
            continue
        yield ReviewFinding(
            rule="access.public" if level is Level.BLOCK else "access.network",
            level=level,
            stage=change.id,
            title=_title(direction, connections, words),
            consequence="Anyone on the internet can connect, where a route leads to it."
            if level is Level.BLOCK
            else "Connections that the base does not allow.",
            action="Name the networks or groups that need it." if level >= Level.REVIEW else "",
            details=tuple(_words(each, words) for each in connections),
            differences=differences,
        )
    rest = tuple(each for each in _of(change) if each not in explained)
    if rest:
        fewer = any(not any(_covers(other, each) for other in after) for each in before)
        yield ReviewFinding(
            rule="access.narrower" if fewer else "form.policy",
            level=Level.ROUTINE if fewer else Level.NOISE,
            stage=change.id,
            title="security groups allow fewer connections"
            if fewer
            else "security groups allow the same connections",
            consequence="Nothing that the base does not allow.",
            differences=rest,
        )


def _by_level(
    change: StageComparison, added: Iterable[Connection]
) -> Iterator[tuple[Level, str, list[Connection]]]:
    found: dict[tuple[Level, str], list[Connection]] = {}
    for each in added:
        found.setdefault((_level(change, each), each.direction), []).append(each)
    for (level, direction), connections in found.items():
        yield level, direction, connections


def _level(change: StageComparison, connection: Connection) -> Level:
    if connection.direction == "ingress":
        if connection.is_public:
            return Level.BLOCK
        return Level.ROUTINE if _is_in_new_stack(change, connection) else Level.REVIEW
    facts = change.facts_after
    in_vpc_mode = facts is not None and facts.network == "vpc"
    return Level.ROUTINE if in_vpc_mode or _is_in_new_stack(change, connection) else Level.REVIEW


def _is_in_new_stack(change: StageComparison, connection: Connection) -> bool:
    stack = connection.group.lstrip("<").partition("/")[0]
    return change.before is None or (connection.group.startswith("<") and stack not in change.before.stacks)


def _of(change: StageComparison) -> list[Difference]:
    """Return the differences that this rule judges."""
    stacks = () if change.after is None else change.after.stacks
    return [
        each
        for each in change.differences
        if each.stack in stacks
        and (
            (each.kind is Kind.PROPERTY and each.type == GROUP and each.name in _LISTS)
            or (each.kind in (Kind.PROPERTY, Kind.RESOURCE) and _is_rule(each))
            or (each.kind is Kind.RESOURCE and _types(each) == {GROUP})
        )
    ]


def _is_rule(each: Difference) -> bool:
    if each.kind is Kind.PROPERTY:
        return each.type in _RULES
    return _types(each) <= set(_RULES)


def _types(each: Difference) -> set[str]:
    return {side["Type"] for side in (each.before, each.after) if side is not None}


def _connections(stage: Stage | None) -> dict[Connection, list[Difference]]:
    """Collect what the groups allow, with the places that say so in the form of differences."""
    found: dict[Connection, list[Difference]] = {}
    if stage is None:
        return found
    resolver = Resolver(stage)
    for stack in stage.stacks.values():
        for logical_id, resource in stack.resources.items():
            properties = resource.get("Properties", {})
            kind = resource["Type"]
            if kind in _RULES:
                group = resolver.text(properties.get("GroupId", properties.get("GroupName")), stack)
                entries = [(group, _RULES[kind], properties, sorted(properties))]
            elif kind == GROUP:
                itself = f"<{stack.name}/{logical_id}.GroupId>"
                entries = [
                    (itself, direction, rule, [name])
                    for name, direction in _LISTS.items()
                    for rule in _listed(properties.get(name), direction)
                ]
            else:
                continue
            for group, direction, rule, names in entries:
                about = {"stage": stage.id, "stack": stack.name, "subject": logical_id, "type": kind}
                places = [
                    *(Difference(kind=Kind.PROPERTY, name=name, **about) for name in names),
                    Difference(kind=Kind.RESOURCE, **about),
                ]
                for each in _read(resolver.resolve(rule, stack), group, direction):
                    found.setdefault(each, []).extend(places)
    return found


def _listed(rules: Json, direction: str) -> Iterable[Json]:
    if rules:
        return rules if isinstance(rules, list) else [rules]
    return _DEFAULT_EGRESS if direction == "egress" else ()


def _read(rule: Json, group: str, direction: str, case: str = "") -> Iterator[Connection]:
    """Read a resolved rule, or each of a list."""
    if isinstance(rule, list):
        for each in rule:
            yield from _read(each, group, direction, case)
    elif isinstance(rule, dict) and TEMPLATE in rule:
        name, *both = rule[TEMPLATE]
        for each, holds in zip(both, ("yes", "no"), strict=True):
            yield from _read(each, group, direction, f"{case} {name}={holds}")
    elif rule != NO_VALUE:
        found = rule if isinstance(rule, dict) else {}
        protocol = str(found.get("IpProtocol", _ALL)).lower()
        ports = (str(found.get("FromPort", "any")), str(found.get("ToPort", "any")))
        peers = [found[name] for name in _PEERS if name in found] or [rule]
        for peer in peers:
            text = peer if isinstance(peer, str) else json.dumps(peer)
            yield Connection(group, direction, _PROTOCOLS.get(protocol, protocol), ports, text, case)


def _covers(wide: Connection, narrow: Connection) -> bool:
    if (wide.group, wide.direction) != (narrow.group, narrow.direction) or wide.case not in ("", narrow.case):
        return False
    if wide.protocol != _ALL and (
        wide.protocol != narrow.protocol or not _has_ports(wide.ports, narrow.ports)
    ):
        return False
    return wide.peer == narrow.peer or within_network(narrow.peer, wide.peer)


def _has_ports(wide: tuple[str, str], narrow: tuple[str, str]) -> bool:
    if wide == narrow:
        return True
    try:
        (start, end), (first, last) = (tuple(map(int, each)) for each in (wide, narrow))
    except ValueError:
        return False
    return start <= first <= last <= end


def _words(connection: Connection, words: Words) -> str:
    first, last = connection.ports
    ports = "" if first == "any" else f" {first}" if first == last else f" {first}–{last}"
    protocol = "all protocols" if connection.protocol == _ALL else f"{connection.protocol}{ports}"
    way = "from" if connection.direction == "ingress" else "to"
    return f"{words.text(connection.group)}: {protocol} {way} {words.text(connection.peer)}"


def _title(direction: str, connections: list[Connection], words: Words) -> str:
    more = f" and {len(connections) - 1} more" if len(connections) > 1 else ""
    verb = "accepts" if direction == "ingress" else "may send"
    group, _, what = _words(connections[0], words).partition(": ")
    return title(f"security group {group} {verb} {what}{more}", f"security group {group} {verb} more")
