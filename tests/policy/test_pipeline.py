"""Findings of cdk-nag in the pipeline: those of the CDK's own grants, and no others."""

from pathlib import Path

from tests.harness.pipeline import pipeline_app
from tests.policy.acknowledged import Acknowledged
from tests.policy.scanners import cdk_nag

STEPS = "LoraServing-Pipeline/Pipeline/*/Role/DefaultPolicy/Resource"
ACKNOWLEDGED = [
    Acknowledged(
        "cdk-nag",
        (
            "AwsSolutions-IAM5[Action::kms:GenerateDataKey*]",
            "AwsSolutions-IAM5[Action::kms:ReEncrypt*]",
            "AwsSolutions-IAM5[Action::s3:Abort*]",
            "AwsSolutions-IAM5[Action::s3:DeleteObject*]",
            "AwsSolutions-IAM5[Action::s3:GetBucket*]",
            "AwsSolutions-IAM5[Action::s3:GetObject*]",
            "AwsSolutions-IAM5[Action::s3:List*]",
            "AwsSolutions-IAM5[Resource::<PipelineArtifactsBucket.Arn>/*]",
        ),
        (STEPS, "LoraServing-Pipeline/Pipeline/Pipeline/*/CodePipelineActionRole/DefaultPolicy/Resource"),
        "the CDK's grant on the artifacts' bucket and key: objects have names that CodePipeline makes",
    ),
    Acknowledged(
        "cdk-nag",
        ("AwsSolutions-IAM5[Resource::*]", "AwsSolutions-IAM5[Resource::arn:*:iam::<AWS::AccountId>:role/*]"),
        ("LoraServing-Pipeline/Pipeline/UpdatePipeline/SelfMutation/Role/DefaultPolicy/Resource",),
        "self-mutation assumes the bootstrap roles, by a condition on their tag, and describes stacks",
    ),
    Acknowledged(
        "cdk-nag",
        ("AwsSolutions-S1",),
        ("LoraServing-Pipeline/Pipeline/Pipeline/ArtifactsBucket/Resource",),
        "artifacts are releases, which each stage keeps and records itself",
    ),
]
#: A project's own log groups and reports: their names end in ones that CodeBuild makes.
OWN_LOGS = (
    "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:",
    "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:codebuild:",
)


def test_every_finding_is_acknowledged_with_a_reason(tmp_path: Path) -> None:
    findings = [each for each in cdk_nag(pipeline_app(tmp_path)) if not each.rule.startswith(OWN_LOGS)]
    assert [each for each in findings if not any(entry.covers(each) for entry in ACKNOWLEDGED)] == []
    assert [entry.reason for entry in ACKNOWLEDGED if not any(entry.covers(each) for each in findings)] == []
