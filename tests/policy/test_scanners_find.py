"""Each scanner finds a deliberate mistake: proof that a result without findings is meaningful."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker

from tests.harness.assembly import empty_app
from tests.policy.scanners import Finding, cdk_nag, cfn_lint, checkov, readable


def app_with_mistakes(output: Path) -> cdk.App:
    """A public bucket, a role with all permissions, an instance type that does not exist."""
    app = empty_app(output)
    stack = cdk.Stack(cdk.Stage(app, "Wrong"), "Stack")
    owner = s3.CfnBucket.OwnershipControlsRuleProperty(object_ownership="ObjectWriter")
    s3.CfnBucket(
        stack,
        "Bucket",
        access_control="PublicRead",
        ownership_controls=s3.CfnBucket.OwnershipControlsProperty(rules=[owner]),
    )
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["*"], resources=["*"]))
    sagemaker.CfnEndpointConfig(
        stack,
        "EndpointConfig",
        production_variants=[
            sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                variant_name="AllTraffic", instance_type="ml.g5.tiny", initial_instance_count=1
            )
        ],
    )
    return app


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    assembly = tmp_path_factory.mktemp("wrong")
    nagging = cdk_nag(app_with_mistakes(assembly))
    return [*nagging, *cfn_lint(assembly), *checkov(assembly, tmp_path_factory.mktemp("home"))]


@pytest.mark.parametrize(
    ("scanner", "rule", "construct"),
    [
        ("cdk-nag", "AwsSolutions-S10", "Wrong/Stack/Bucket"),
        ("cdk-nag", "AwsSolutions-IAM5[Action::*]", "Wrong/Stack/Role/DefaultPolicy/Resource"),
        ("cdk-nag", "AwsSolutions-IAM5[Resource::*]", "Wrong/Stack/Role/DefaultPolicy/Resource"),
        ("cfn-lint", "E3030", "Wrong/Stack/EndpointConfig"),
        ("checkov", "CKV_AWS_20", "Wrong/Stack/Bucket"),
        ("checkov", "CKV_AWS_107", "Wrong/Stack/Role/DefaultPolicy/Resource"),
    ],
)
def test_a_mistake_is_found(findings: list[Finding], scanner: str, rule: str, construct: str) -> None:
    assert (scanner, rule, construct) in {(f.scanner, f.rule, f.construct) for f in findings}


def test_what_a_synth_refuses_anyway_is_no_finding(tmp_path: Path) -> None:
    app = empty_app(tmp_path)
    cdk.Annotations.of(cdk.Stack(app, "Stack")).add_error("no such thing")
    with pytest.raises(RuntimeError, match="no such thing"):
        cdk_nag(app)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("AwsSolutions-S1", "AwsSolutions-S1"),
        ("IAM5[Resource::<Bucket83908E77.Arn>/models/*]", "IAM5[Resource::<Bucket.Arn>/models/*]"),
        (
            "IAM5[Resource::A-Dev-B:ExportsOutputFnGetAttBucket83908E77Arn0F129B3B/models/tiny/f5853cca2ee4c8c6/*]",
            "IAM5[Resource::<Bucket.Arn>/models/tiny/<digest>/*]",
        ),
        (
            "IAM5[Resource::arn:aws:logs:eu-west-1:111122223333:log-group:/aws/*]",
            "IAM5[Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:/aws/*]",
        ),
    ],
)
def test_a_rule_is_read_the_same_in_each_stage(said: str, read: str) -> None:
    assert readable(said) == read
