"""Holders of statements: each role, user and group with all its policies together, and each resource's one.

Statements that move between the policies of one role, or from inline to managed, are no change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from loraserve.review.access.conditions import TEMPLATE
from loraserve.review.access.statements import Statement, statements
from loraserve.review.access.text import ACCOUNT, NO_VALUE, Resolver
from loraserve.review.assembly import Stack, Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Json, Kind

ROLE = "AWS::IAM::Role"
MANAGED_POLICY = "AWS::IAM::ManagedPolicy"
VPC_ENDPOINT = "AWS::EC2::VPCEndpoint"
BUCKET_POLICY = "AWS::S3::BucketPolicy"
KEY = "AWS::KMS::Key"
_IDENTITIES = {ROLE: "role", "AWS::IAM::User": "user", "AWS::IAM::Group": "group"}
#: Properties of a policy that name those it is attached to.
_ATTACHED = {
    "Roles": "role", "RoleName": "role", "Users": "user", "UserName": "user", "Groups": "group",
    "GroupName": "group",
}  # fmt: skip
IDENTITY_POLICIES = (
    "AWS::IAM::Policy", MANAGED_POLICY, "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy",
    "AWS::IAM::GroupPolicy",
)  # fmt: skip
#: Policies that are resources beside the one they are about, with the property that names it.
RESOURCE_POLICIES = {
    BUCKET_POLICY: "Bucket",
    "AWS::SNS::TopicPolicy": "Topics",
    "AWS::SNS::TopicInlinePolicy": "TopicArn",
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::SQS::QueueInlinePolicy": "Queue",
    "AWS::SecretsManager::ResourcePolicy": "SecretId",
    "AWS::Lambda::Permission": "FunctionName",
    "AWS::Lambda::LayerVersionPermission": "LayerVersionArn",
}
#: Conditions that a Lambda permission's properties mean (Lambda API, AddPermission).
_PERMISSION_CONDITIONS = {
    "SourceArn": ("ArnLike", "aws:SourceArn"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "OrganizationId": ("StringEquals", "aws:PrincipalOrgID"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
}
_PERMISSION_NAMES = ("Action", "FunctionName", "LayerVersionArn", "Principal", *_PERMISSION_CONDITIONS)
#: The policy that AWS sets where a template has none.
_DEFAULTS: Mapping[tuple[str, str], Json] = {
    (VPC_ENDPOINT, "PolicyDocument"): {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
    },
    (KEY, "KeyPolicy"): {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"},
    },
}
#: Action for the rights of a policy that is not in the templates; its resource is the policy.
ATTACHED_POLICY = "iam:rights-of-policy"
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class Sort(Enum):
    """Kind of a holder's statements."""

    IDENTITY = "identity"
    """Rights of a role, user or group."""
    MANAGED = "managed"
    """Rights of all that a managed policy is attached to, also outside the templates."""
    TRUST = "trust"
    """Principals that may assume a role."""
    RESOURCE = "resource"
    """Principals, and their rights on a resource."""


@dataclass(frozen=True)
class Holder:
    """Owner of statements: an identity, a trust policy or a resource."""

    sort: Sort
    type: str
    """CloudFormation type; of an identity that is not in the template, `role`, `user` or `group`."""
    name: str
    """Resolved name, e.g. `<Serving/ExecutionRole605A040B>`."""


@dataclass
class Held:
    """A holder's statements."""

    statements: list[Statement] = field(default_factory=list)
    sources: set[tuple[str, str, str]] = field(default_factory=set)
    """Stack, logical id and property of each place that they come from."""


def holders(stage: Stage | None) -> dict[Holder, Held]:
    """Collect the statements of one side of a stage."""
    found: dict[Holder, Held] = {}
    if stage is None:
        return found
    resolver = Resolver(stage)
    collector = _Collector(resolver, stage, found)
    for stack in stage.stacks.values():
        for logical_id, resource in stack.resources.items():
            collector.read(stack, logical_id, resource)
    return found


def may_differ(change: StageComparison, *types: str) -> bool:
    """Return whether statements, or what resources of these types say, can differ: most changes do not.

    Beside the resources themselves, they depend on what their references resolve to.
    """
    return any(
        each.kind is Kind.DEPLOYMENT
        or each.subject.split("/")[0] in ("Parameters", "Mappings", "Conditions", "Outputs", "Transform")
        or each.type.startswith("AWS::IAM::")
        or each.type in types
        or each.type in RESOURCE_POLICIES
        or each.type in (VPC_ENDPOINT, KEY)
        or "Statement" in json.dumps([each.before, each.after])
        for each in change.differences
    )


class _Collector:
    def __init__(self, resolver: Resolver, stage: Stage, found: dict[Holder, Held]) -> None:
        self._resolver = resolver
        self._found = found
        self._managed = {
            f"<{stack.name}/{logical_id}.Arn>": (stack, logical_id)
            for stack in stage.stacks.values()
            for logical_id, resource in stack.resources.items()
            if resource["Type"] == MANAGED_POLICY
        }
        self._named = {
            (_IDENTITIES[resource["Type"]], resolver.text(name, stack)): f"<{stack.name}/{logical_id}>"
            for stack in stage.stacks.values()
            for logical_id, resource in stack.resources.items()
            if resource["Type"] in _IDENTITIES
            for key in ("RoleName", "UserName", "GroupName")
            if (name := resource.get("Properties", {}).get(key)) is not None
        }

    def read(self, stack: Stack, logical_id: str, resource: Mapping[str, Any]) -> None:
        """Add what a resource's properties say."""
        kind = resource["Type"]
        properties = resource.get("Properties", {})
        itself = f"<{stack.name}/{logical_id}>"

        def add(holder: Holder, document: Json, *names: str) -> None:
            held = self._found.setdefault(holder, Held())
            if "Condition" in resource:  # the template's one, by which the resource exists at all
                document = {TEMPLATE: [resource["Condition"], document, NO_VALUE]}
            held.statements += statements(document, stack.template.get("Conditions", {}))
            held.sources |= {(stack.name, logical_id, name) for name in names}

        def resolved(name: str) -> Json:
            return self._resolver.resolve(properties.get(name), stack)

        if kind in _IDENTITIES:
            holder = Holder(Sort.IDENTITY, kind, itself)
            add(holder, _mapped(resolved("Policies"), _inline), "Policies")
            attached = resolved("ManagedPolicyArns")
            add(holder, _mapped(attached, self._attached), "ManagedPolicyArns")
            self._found[holder].sources |= {
                (stack.name, logical_id, "PolicyDocument")
                for arn, (stack, logical_id) in self._managed.items()
                if arn in json.dumps(attached)
            }
            if kind == ROLE:
                add(
                    Holder(Sort.TRUST, kind, itself),
                    resolved("AssumeRolePolicyDocument"),
                    "AssumeRolePolicyDocument",
                )
        elif kind in IDENTITY_POLICIES:
            document = resolved("PolicyDocument")
            attachments = list(self._attachments(properties, stack))
            for holder, name in attachments:
                add(holder, document, name, "PolicyDocument")
            if kind == MANAGED_POLICY or not attachments:
                add(Holder(Sort.MANAGED, kind, itself), document, "PolicyDocument")
        elif kind in RESOURCE_POLICIES:
            target = RESOURCE_POLICIES[kind]
            if kind.endswith("Permission"):
                document, names = self._permission(properties, stack), _PERMISSION_NAMES
            else:
                document, names = _document(properties, resolved), (_document_name(properties), target)
            about = resolved(target)
            for each in about if isinstance(about, list) else [about]:
                add(Holder(Sort.RESOURCE, kind, _text(each)), document, *names)
        else:
            for name in sorted({*properties, *(name for of, name in _DEFAULTS if of == kind)}):
                value = resolved(name) if name in properties else _DEFAULTS.get((kind, name))
                if _is_document(name, value):
                    add(Holder(Sort.RESOURCE, kind, itself), value, name)

    def _attachments(self, properties: Mapping[str, Any], stack: Stack) -> Iterator[tuple[Holder, str]]:
        for name, identity in _ATTACHED.items():
            value = self._resolver.resolve(properties.get(name), stack)
            for each in value if isinstance(value, list) else [] if value is None else [value]:
                text = self._named.get((identity, _text(each)), _text(each))
                kind = next(kind for kind, word in _IDENTITIES.items() if word == identity)
                yield Holder(Sort.IDENTITY, kind, text), name

    def _attached(self, arn: Json) -> Json:
        """Return the document of a policy by its ARN: of the template's own one, or a right of its name."""
        text = _text(arn)
        if text in self._managed:
            stack, logical_id = self._managed[text]
            document = stack.resources[logical_id]["Properties"]["PolicyDocument"]
            return self._resolver.resolve(document, stack)
        action, resource = ("*", "*") if text == _ADMINISTRATOR else (ATTACHED_POLICY, text)
        return {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": action, "Resource": resource},
        }

    def _permission(self, properties: Mapping[str, Any], stack: Stack) -> Json:
        """Return a Lambda permission as the statement that Lambda makes of it."""
        values = {name: self._resolver.text(value, stack) for name, value in properties.items()}
        principal = values.get("Principal", "*")
        conditions: dict[str, dict[str, str]] = {}
        for name, (operator, key) in _PERMISSION_CONDITIONS.items():
            if name in values:
                conditions.setdefault(operator, {})[key] = values[name]
        is_service = principal.endswith((".com", ".cn")) and not principal.startswith("arn:")
        return {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service" if is_service else "AWS": principal},
                "Action": values.get("Action", "*"),
                "Resource": values.get("FunctionName", values.get("LayerVersionArn", "*")),
                "Condition": conditions,
            },
        }


def _inline(policy: Json) -> Json:
    return policy.get("PolicyDocument") if isinstance(policy, dict) else policy


def _mapped(value: Json, read: Any) -> Json:
    """Apply `read` to a value, to each of a list, and to both values of a `Fn::If`."""
    if isinstance(value, list):
        return [_mapped(each, read) for each in value]
    if isinstance(value, dict) and len(value) == 1 and TEMPLATE in value:
        name, *both = value[TEMPLATE]
        return {TEMPLATE: [name, *(_mapped(each, read) for each in both)]}
    return value if value in (None, NO_VALUE) else read(value)


def _document_name(properties: Mapping[str, Any]) -> str:
    return "ResourcePolicy" if "ResourcePolicy" in properties else "PolicyDocument"


def _document(properties: Mapping[str, Any], resolved: Any) -> Json:
    return resolved(_document_name(properties))


def _is_document(name: str, value: Json) -> bool:
    """Return whether a property's value is a policy, also one as text or behind a `Fn::If`."""
    if isinstance(value, str):
        return "Statement" in value and "Policy" in name
    if not isinstance(value, dict):
        return False
    if len(value) == 1 and TEMPLATE in value:
        return any(_is_document(name, each) for each in value[TEMPLATE][1:])
    return "Statement" in value


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    text = json.dumps(value, sort_keys=True).replace("<", "(").replace(">", ")")
    return f"<[{text}]>"
