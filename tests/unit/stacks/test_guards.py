"""Each rule of the templates: one that keeps it, one that breaks it, and the message."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sagemaker as sagemaker

from stacks.guards import Guards, Template, findings

SOUND: Template = {
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "sts:AssumeRole",
                            "Principal": {"Service": "sagemaker.amazonaws.com"},
                            "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                        }
                    ]
                }
            },
        },
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "Roles": [{"Ref": "Role"}],
                "PolicyDocument": {
                    "Statement": [
                        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"},
                        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
                        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
                    ]
                },
            },
        },
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "DependsOn": ["Policy"],
            "Properties": {
                "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "PrimaryContainer": {
                    "Environment": {"MAX_TOTAL_TOKENS": "4096", "BUCKET": {"Ref": "Bucket"}}
                },
            },
        },
        "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {}},
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": "LoraServing-Prod-Serving",
                "RetainAllVariantProperties": True,
                "DeploymentConfig": {},
            },
        },
        "Bucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {}},
        "BucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": {
                    "Statement": [{"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]
                },
            },
        },
    }
}


def change(*path: str | int, value: Any) -> Callable[[Template], None]:
    """A mistake: sets what stands at `path` below Resources."""

    def apply(template: Template) -> None:
        place: Any = template["Resources"]
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return apply


ENVIRONMENT = ("Model", "Properties", "PrimaryContainer", "Environment")
STATEMENT = ("Policy", "Properties", "PolicyDocument", "Statement", 0)
TRUST = ("Role", "Properties", "AssumeRolePolicyDocument", "Statement", 0, "Condition")

BROKEN: list[tuple[str, str, Callable[[Template], None], str]] = [
    ("generated-names", "Model", change("Model", "Properties", "ModelName", value="m"), "remove ModelName: each change replaces it"),
    ("generated-names", "Config", change("Config", "Properties", "EndpointConfigName", value="c"), "remove EndpointConfigName"),
    ("endpoint-name", "Endpoint", change("Endpoint", "Properties", "EndpointName", value="a" * 64), "has over 63 characters"),
    ("endpoint-name", "Endpoint", change("Endpoint", "Properties", "EndpointName", value="a_b"), "'a_b' has over 63 characters or others"),
    ("retained-count", "Endpoint", change("Endpoint", "Properties", "RetainAllVariantProperties", value=False), "each deployment undoes what autoscaling chose"),
    ("rollout", "Endpoint", change("Endpoint", "Properties", value={"RetainAllVariantProperties": True}), "set DeploymentConfig"),
    ("environment", "Model", change(*ENVIRONMENT, "A", value="x" * 1025), "A would have 1025 characters, SageMaker takes 1024"),
    ("environment", "Model", change(*ENVIRONMENT, "A-B", value="x"), "'A-B' is no name of a variable"),
    ("environment", "Model", change(*ENVIRONMENT, value={f"A{n}": "" for n in range(101)}), "would have 101 variables, SageMaker takes 100"),
    ("environment", "Model", change(*ENVIRONMENT, value={f"A{n}": "x" * 1000 for n in range(33)}), "SageMaker takes 32768: shorten it"),
    ("no-secret", "Model", change(*ENVIRONMENT, "HF_TOKEN", value="hf_x"), "HF_TOKEN looks like a secret"),
    ("named-actions", "Policy", change(*STATEMENT, "Action", value=["s3:GetObject", "s3:*"]), "s3:*: name the actions that are needed"),
    ("named-actions", "Role", change("Role", "Properties", "ManagedPolicyArns", value=["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"]), "instead of a …FullAccess policy"),
    ("scoped-resources", "Policy", change(*STATEMENT, "Resource", value="*"), "s3:GetObject on *: name the resources"),
    ("confused-deputy", "Role", change(*TRUST, value={}), "for this account only (aws:SourceAccount)"),
    ("policy-before-model", "Model", change("Model", "DependsOn", value=[]), "let it depend on Policy: SageMaker may start before the role can"),
    ("deletion-policy", "Bucket", change("Bucket", value={"Type": "AWS::S3::Bucket", "Properties": {}}), "say what becomes of it with the stack"),
    ("tls-only", "Bucket", change("BucketPolicy", "Properties", "PolicyDocument", value={"Statement": []}), "deny requests without TLS"),
]  # fmt: skip


def test_a_sound_template_has_no_findings() -> None:
    assert list(findings(SOUND)) == []


@pytest.mark.parametrize(("rule", "resource", "mistake", "sentence"), BROKEN)
def test_a_mistake_is_found_by_its_rule_alone(
    rule: str, resource: str, mistake: Callable[[Template], None], sentence: str
) -> None:
    template = copy.deepcopy(SOUND)
    mistake(template)
    (finding,) = findings(template)
    assert (finding.rule, finding.resource) == (rule, resource)
    assert sentence in finding.sentence


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, *_ in BROKEN} == set(Guards().rule_ids or [])


def test_a_finding_fails_the_synth_and_names_the_construct(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    cdk.Validations.of(app).add_plugins(Guards())
    sagemaker.CfnEndpoint(cdk.Stack(app, "Some"), "Bare", endpoint_config_name="c", endpoint_name="a_b")
    with pytest.raises(RuntimeError, match=r"(?s)'a_b' has over 63 .*Some/Bare.*lora-serving::endpoint-name"):
        app.synth()
