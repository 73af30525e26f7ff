"""Rules for every template of the app, checked at each synth.

Stage files are checked by their own models. These rules check the result, so that a change of a construct
cannot bring back a known mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aws_cdk as cdk
import jsii

from stacks.config.container_environment import environment_problems

Template = dict[str, Any]
#: Actions without a finer resource than `*` (Service Authorization Reference), or useless with one.
UNSCOPED_ACTIONS = frozenset(
    {
        "cloudwatch:DescribeAlarms",
        "cloudwatch:PutMetricData",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
        "ecr:GetAuthorizationToken",
        "sagemaker:CallWithBearerToken",
    }
)
_NAMED = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY|CREDENTIAL", re.IGNORECASE)


class RuleViolation(NamedTuple):
    """A violation of a rule."""

    rule: str
    resource: str
    """Logical id."""
    sentence: str


def findings(template: Template) -> Iterator[RuleViolation]:
    """Yield the violations in a template."""
    for rule, check in _RULES.items():
        for logical_id, sentence in check(template):
            yield RuleViolation(rule, logical_id, sentence)


@jsii.implements(cdk.IPolicyValidationPlugin)
class Guards:
    """The rules as a validation plugin of `cdk synth`: a violation fails the synth."""

    @property
    def name(self) -> str:
        """Prefix of an acknowledgement."""
        return "lora-serving"

    @property
    def version(self) -> str | None:
        """None: the rules have no version apart from the app's."""
        return None

    @property
    def rule_ids(self) -> list[str] | None:
        """Names of the rules."""
        return list(_RULES)

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Check the synthesized templates."""
        violations = [
            cdk.PolicyViolation(
                rule_name=finding.rule,
                description=finding.sentence,
                violating_resources=[
                    cdk.PolicyViolatingResource(
                        resource_logical_id=finding.resource, template_path=path, locations=[]
                    )
                ],
            )
            for path in context.template_paths
            for finding in findings(json.loads(Path(path).read_text()))
        ]
        return cdk.PolicyValidationPluginReport(success=not violations, violations=violations)


def _of_type(template: Template, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in template.get("Resources", {}).items():
        if resource["Type"] in types:
            yield logical_id, resource


def _generated_names(template: Template) -> Iterator[tuple[str, str]]:
    for kind in ("Model", "EndpointConfig"):
        for logical_id, resource in _of_type(template, f"AWS::SageMaker::{kind}"):
            if f"{kind}Name" in resource["Properties"]:
                yield logical_id, f"remove {kind}Name: each change replaces it, and two cannot have one name"


def _endpoint_name(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, resource in _of_type(template, "AWS::SageMaker::Endpoint"):
        name = resource["Properties"].get("EndpointName", "a")
        if isinstance(name, str) and _NAMED.fullmatch(name) is None:
            yield (
                logical_id,
                f"{name!r} has over 63 characters or others than a-z, 0-9 and -: rename the stage",
            )


def _retained_count(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, resource in _of_type(template, "AWS::SageMaker::Endpoint"):
        if resource["Properties"].get("RetainAllVariantProperties") is not True:
            yield (
                logical_id,
                "set RetainAllVariantProperties, or each deployment undoes what autoscaling chose",
            )


def _rollout(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, resource in _of_type(template, "AWS::SageMaker::Endpoint"):
        if "DeploymentConfig" not in resource["Properties"]:
            yield (
                logical_id,
                "set DeploymentConfig: without it an update shifts all traffic at once, unwatched",
            )


def _environment(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, resource in _of_type(template, "AWS::SageMaker::Model"):
        given = resource["Properties"]["PrimaryContainer"].get("Environment", {})
        # Values that are only known at deployment are names of resources, which are short.
        known = {name: value if isinstance(value, str) else "" for name, value in given.items()}
        for problem in environment_problems(known):
            yield logical_id, problem


def _no_secret(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, resource in _of_type(template, "AWS::SageMaker::Model", "AWS::Lambda::Function"):
        properties = resource["Properties"]
        environment = {
            **properties.get("PrimaryContainer", {}).get("Environment", {}),
            **properties.get("Environment", {}).get("Variables", {}),
        }
        for name in environment:
            if _SECRET.search(name) and not name.endswith("_TOKENS"):
                yield logical_id, f"{name} looks like a secret, which all who may describe it could read"


def _statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in _of_type(
        template, "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role"
    ):
        properties = resource["Properties"]
        documents = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for document in documents:
            for statement in document["Statement"]:
                if statement["Effect"] == "Allow":
                    yield logical_id, statement


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named_actions(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, statement in _statements(template):
        for action in _listed(statement["Action"]):
            if "*" in action:
                yield logical_id, f"{action}: name the actions that are needed"
    for logical_id, role in _of_type(template, "AWS::IAM::Role"):
        if "FullAccess" in json.dumps(role["Properties"].get("ManagedPolicyArns", [])):
            yield logical_id, "name the actions that are needed instead of a …FullAccess policy"


def _scoped_resources(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, statement in _statements(template):
        wide = set(_listed(statement["Action"])) - UNSCOPED_ACTIONS
        if "*" in _listed(statement["Resource"]) and wide:
            yield logical_id, f"{', '.join(sorted(wide))} on *: name the resources"


def _deputy(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, role in _of_type(template, "AWS::IAM::Role"):
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            sagemaker = "sagemaker.amazonaws.com" in json.dumps(statement["Principal"])
            if sagemaker and "aws:SourceAccount" not in json.dumps(statement.get("Condition", {})):
                yield logical_id, "let SageMaker assume it for this account only (aws:SourceAccount)"


def _policy_first(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, model in _of_type(template, "AWS::SageMaker::Model"):
        role = model["Properties"]["ExecutionRoleArn"].get("Fn::GetAtt", [""])[0]
        policies = {
            name
            for name, p in _of_type(template, "AWS::IAM::Policy")
            if {"Ref": role} in p["Properties"]["Roles"]
        }
        if late := policies - set(_listed(model.get("DependsOn", []))):
            yield (
                logical_id,
                f"let it depend on {', '.join(sorted(late))}: SageMaker may start before the role can",
            )


def _deletion_policy(template: Template) -> Iterator[tuple[str, str]]:
    for logical_id, resource in _of_type(template, "AWS::S3::Bucket", "AWS::KMS::Key"):
        if "DeletionPolicy" not in resource:
            yield logical_id, "say what becomes of it with the stack: DeletionPolicy Retain or Delete"


def _tls_only(template: Template) -> Iterator[tuple[str, str]]:
    policies = [json.dumps(policy) for _, policy in _of_type(template, "AWS::S3::BucketPolicy")]
    for logical_id, _ in _of_type(template, "AWS::S3::Bucket"):
        own = [policy for policy in policies if f'"{logical_id}"' in policy]
        if not any('"aws:SecureTransport": "false"' in policy for policy in own):
            yield logical_id, "deny requests without TLS in its policy"


_RULES: dict[str, Callable[[Template], Iterator[tuple[str, str]]]] = {
    "generated-names": _generated_names,
    "endpoint-name": _endpoint_name,
    "retained-count": _retained_count,
    "rollout": _rollout,
    "environment": _environment,
    "no-secret": _no_secret,
    "named-actions": _named_actions,
    "scoped-resources": _scoped_resources,
    "confused-deputy": _deputy,
    "policy-before-model": _policy_first,
    "deletion-policy": _deletion_policy,
    "tls-only": _tls_only,
}
