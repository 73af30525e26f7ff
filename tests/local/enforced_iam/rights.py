"""Permissions that the deployed templates grant to their roles, and their temporary removal."""

import copy
import functools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from laptop_cloud.cloud import Cloud

Policy = dict[str, Any]


class Right(NamedTuple):
    """A permission: an action in a role's policies, or a managed policy attached to the role."""

    role: str
    """Logical id of the role, without the CDK's hash."""
    action: str


class Roles:
    """The roles of several stacks."""

    def __init__(self, cloud: Cloud, stacks: tuple[str, ...]) -> None:
        self.stacks = stacks
        #: Clients by service: to create one takes longer than most requests.
        self.client = functools.cache(cloud.client)

    def rights(self) -> set[Right]:
        """All permissions that the templates grant."""
        templates = [self._template(stack)["Resources"] for stack in self.stacks]
        found = set()
        for resources in templates:
            for logical_id, resource in resources.items():
                properties = resource.get("Properties", {})
                if resource["Type"] == "AWS::IAM::Role":
                    policies = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
                    found |= _rights([logical_id], policies)
                    found |= {
                        Right(_short(logical_id), _managed(arn))
                        for arn in properties.get("ManagedPolicyArns", [])
                    }
                elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
                    roles = [role["Ref"] for role in properties.get("Roles", [])]
                    found |= _rights(roles, [properties["PolicyDocument"]])
        return found

    def name(self, role: str) -> str:
        """Return the deployed role's name."""
        return self.physical_id("AWS::IAM::Role", role)

    def physical_id(self, kind: str, short_id: str) -> str:
        """Return the physical id of a resource, by type and logical id (without its hash)."""
        return self._physical_ids[kind, short_id]

    def property(self, kind: str, name: str) -> str:
        """Return a property of the only resource of a type from its template."""
        templates = [self._template(stack)["Resources"].values() for stack in self.stacks]
        [found] = [r["Properties"][name] for rs in templates for r in rs if r["Type"] == kind]
        return str(found)

    @functools.cached_property
    def _physical_ids(self) -> dict[tuple[str, str], str]:
        describe = self.client("cloudformation").describe_stack_resources
        return {
            (resource["ResourceType"], _short(resource["LogicalResourceId"])): resource["PhysicalResourceId"]
            for stack in self.stacks
            for resource in describe(StackName=stack)["StackResources"]
        }

    @contextmanager
    def without(self, *rights: Right) -> Iterator[None]:
        """Remove the permissions from the deployed roles until the end of the block."""
        with ExitStack() as back:
            for right in rights:
                self._take(right, back)
            yield

    def _take(self, right: Right, back: ExitStack) -> None:
        iam, role = self.client("iam"), self.name(right.role)
        taken = False
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            if attached["PolicyName"] == right.action:
                arn = attached["PolicyArn"]
                iam.detach_role_policy(RoleName=role, PolicyArn=arn)
                back.callback(iam.attach_role_policy, RoleName=role, PolicyArn=arn)
                taken = True
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            rest = _without(policy, right.action)
            if rest != policy:
                back.callback(
                    iam.put_role_policy, RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy)
                )
                if rest["Statement"]:
                    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(rest))
                else:
                    iam.delete_role_policy(RoleName=role, PolicyName=name)
                taken = True
        assert taken, f"the deployed role {role} has no {right.action} to remove"

    def _template(self, stack: str) -> Policy:
        body = self.client("cloudformation").get_template(StackName=stack)["TemplateBody"]
        template: Policy = json.loads(body) if isinstance(body, str) else body
        return template


def _rights(logical_ids: list[str], policies: list[Policy]) -> set[Right]:
    return {
        Right(_short(logical_id), action)
        for logical_id in logical_ids
        for policy in policies
        for statement in policy["Statement"]
        for action in _actions(statement)
    }


def _actions(statement: Policy) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


def _without(policy: Policy, action: str) -> Policy:
    rest = copy.deepcopy(policy)
    for statement in rest["Statement"]:
        statement["Action"] = [other for other in _actions(statement) if other != action]
    kept = [
        new if len(new["Action"]) < len(_actions(old)) else old
        for old, new in zip(policy["Statement"], rest["Statement"], strict=True)
        if new["Action"]
    ]
    return {**policy, "Statement": kept}


def _managed(arn: Any) -> str:
    """Return the name of a managed policy, whose ARN is text or a Fn::Join with the name in its last part."""
    text = arn if isinstance(arn, str) else arn["Fn::Join"][1][-1]
    return str(text).rpartition("/")[2]


def _short(logical_id: str) -> str:
    """Return a logical id without the CDK's hash, eight hexadecimal digits at the end."""
    return logical_id[:-8]
