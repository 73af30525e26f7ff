"""Rights of the roles, each for a step of the flow that docs/promotion.md describes.

Actions and their resources are those of AWS's Service Authorization Reference. A bucket and its key exist
only after a stage's first deployment and have generated names: the bucket is named by the beginning that
CloudFormation gives it, the key by its tag and its use through S3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from adapters.store.layout import ADAPTERS_PREFIX, REGISTRY_PREFIX, RELEASES_PREFIX
from stacks.config.stage_target import STAGE_TAG, StageTarget
from stacks.deploy_roles.names import pull_role_name
from stacks.deploy_roles.role_stage import RoleStage

#: CloudFormation shortens the stack's name in a generated one if the whole would be too long, e.g. for S3.
_BEGINNING = 24
_QUALIFIER_CONTEXT = "@aws-cdk/core:bootstrapQualifier"
#: What a stage reads of the one before: the bucket's policy gives the same (`store_readers`).
_GIVEN_PREFIXES = (ADAPTERS_PREFIX, REGISTRY_PREFIX, RELEASES_PREFIX)
_PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
#: CloudFormation reads resources with the caller's rights to find drift.
_DRIFT_READS = (
    "application-autoscaling:ListTagsForResource",
    "cloudwatch:GetDashboard",
    "cloudwatch:ListTagsForResource",
    "ec2:DescribeFlowLogs",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNatGateways",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcs",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "lambda:GetLayerVersion",
    "logs:DescribeLogGroups",
    "logs:DescribeMetricFilters",
    "logs:ListTagsForResource",
    "s3:GetBucketLocation",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "sagemaker:ListTags",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:ListTagsForResource",
    "states:DescribeStateMachine",
    "states:ListTagsForResource",
)
#: Those of functions: they show environment variables and code, so they are bound to the stage's functions.
_DRIFT_READS_OF_FUNCTIONS = ("lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:ListTags")


class Rights:
    """Statements about one stage, for the policies in `stack`."""

    def __init__(self, stack: cdk.Stack, stage: RoleStage) -> None:
        """Prepare the names of the stage's resources."""
        self._stack, self._stage = stack, stage
        self._target, self._region = stage.target, stage.target.region
        self._qualifier = (
            stack.node.try_get_context(_QUALIFIER_CONTEXT) or cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER
        )

    def reading(self) -> Iterator[iam.PolicyStatement]:
        """Yield the rights of all roles of the stage: checks before a promotion, verification, records."""
        stacks = [self._arn("cloudformation", f"stack/{self._target.stack_name('*')}/*")]
        yield _allow(
            "ReadStacks",
            [
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStackResource",
                "cloudformation:DescribeStackResources",
                "cloudformation:DescribeStackResourceDrifts",
                "cloudformation:DetectStackDrift",
                "cloudformation:DetectStackResourceDrift",
                "cloudformation:GetTemplate",
                "cloudformation:ListStackResources",
            ],
            stacks,
        )
        yield _allow(
            "ReadEndpoint",
            ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel"],
            [
                *self._endpoint(),
                self._arn("sagemaker", "endpoint-config/*"),
                self._arn("sagemaker", "model/*"),
            ],
        )
        # None of these has a resource, or they list what exists.
        yield _allow(
            "ReadAccount",
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
                "cloudformation:DescribeStackDriftDetectionStatus",
                "cloudformation:DescribeStacks",
                "cloudwatch:DescribeAlarmHistory",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:GetMetricData",
                "sagemaker:ListEndpoints",
                "servicequotas:GetServiceQuota",
                "servicequotas:ListAWSDefaultServiceQuotas",
                "servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota",
                "servicequotas:ListServiceQuotas",
            ],
            ["*"],
        )
        version = self._arn("ssm", f"parameter/cdk-bootstrap/{self._qualifier}/version")
        yield _allow("ReadBootstrapVersion", ["ssm:GetParameter"], [version])
        yield from self._store_reading()
        yield _allow(
            "ReadImages",
            ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories"],
            [self._repository(self._target)],
        )
        yield from self._giving()

    def drift(self) -> Iterator[iam.PolicyStatement]:
        """Yield the rights that the detection of drift needs: configurations, and no data."""
        yield _allow("ReadForDrift", list(_DRIFT_READS), ["*"])
        functions = self._arn("lambda", f"function:{self._target.stack_name('')[:_BEGINNING]}*")
        yield _allow("ReadFunctionsForDrift", list(_DRIFT_READS_OF_FUNCTIONS), [functions])

    def changing(self) -> Iterator[iam.PolicyStatement]:
        """Yield the rights of the roles that deploy, on top of those to read."""
        names = ("deploy", "file-publishing", "image-publishing", "lookup")
        yield _allow(
            "AssumeBootstrapRoles",
            ["sts:AssumeRole"],
            [
                f"arn:{cdk.Aws.PARTITION}:iam::{self._stage.account}:role/"
                f"cdk-{self._qualifier}-{name}-role-{self._stage.account}-{self._region}"
                for name in names
            ],
        )
        stacks = [self._arn("cloudformation", f"stack/{self._target.stack_name('*')}/*")]
        yield _allow("ProtectStacks", ["cloudformation:UpdateTerminationProtection"], stacks)
        # UpdateEndpoint is for the way forward after a silent rollback, `repair`.
        yield _allow(
            "UseEndpoint",
            [
                "sagemaker:InvokeEndpoint",
                "sagemaker:UpdateEndpoint",
                "sagemaker:UpdateEndpointWeightsAndCapacities",
            ],
            [*self._endpoint(), self._arn("sagemaker", "endpoint-config/*")],
        )
        # A rollback of adapters moves names, starts and ends the retention of their revisions.
        yield _allow(
            "WriteRecords",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"],
            _objects(self._target, [RELEASES_PREFIX, REGISTRY_PREFIX]),
            **_owned_by(self._stage.account),
        )
        # The history of the deployments, see `loraserve.release.ledger`, is added to only.
        yield iam.PolicyStatement(
            sid="KeepHistory",
            effect=iam.Effect.DENY,
            actions=["s3:DeleteObject"],
            resources=_objects(self._target, [f"{RELEASES_PREFIX}records/"]),
        )
        yield _allow(
            "RetireAdapters",
            ["s3:DeleteObjectTagging", "s3:PutObject", "s3:PutObjectTagging"],
            _objects(self._target, [ADAPTERS_PREFIX]),
            **_owned_by(self._stage.account),
        )
        yield self._key_use("EncryptRecords", ["kms:GenerateDataKey"])
        yield _allow(
            "CopyImages",
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:CompleteLayerUpload",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            [self._repository(self._target)],
        )

    def pulling(self) -> Iterator[iam.PolicyStatement]:
        """Yield what a stage of another account may read here beside the store."""
        yield _allow("PullImages", _PULL, [self._repository(self._target)])
        # CloudFormation generated the name of the bucket, which is an output of this stack.
        store = self._target.stack_name("AdapterStore")
        yield _allow(
            "FindBucket",
            ["cloudformation:DescribeStacks"],
            [self._arn("cloudformation", f"stack/{store}/*")],
        )

    def _store_reading(self) -> Iterator[iam.PolicyStatement]:
        own = _owned_by(self._stage.account)
        yield _allow(
            "ReadStore",
            ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion"],
            _objects(self._target, _GIVEN_PREFIXES),
            **own,
        )
        yield _allow(
            "ListStore",
            ["s3:ListBucket", "s3:ListBucketVersions"],
            [_bucket(self._target)],
            **own,
        )
        yield self._key_use("DecryptStore", ["kms:Decrypt"])

    def _giving(self) -> Iterator[iam.PolicyStatement]:
        """Yield what the stage reads of the one before it."""
        giving = self._stage.giving
        if giving is None or giving.account is None:
            return
        own = _owned_by(giving.account)
        yield _allow("ReadGivenStore", ["s3:GetObject"], _objects(giving, _GIVEN_PREFIXES), **own)
        keys = f"arn:{cdk.Aws.PARTITION}:kms:{giving.region}:{giving.account}:key/*"
        yield _allow("DecryptGivenStore", ["kms:Decrypt"], [keys], **_through_s3(giving.region))
        if giving.account == self._stage.account:
            yield _allow("PullGivenImages", _PULL, [self._repository(giving)])
        else:
            role = f"arn:{cdk.Aws.PARTITION}:iam::{giving.account}:role/{pull_role_name(giving)}"
            yield _allow("AssumePullRole", ["sts:AssumeRole"], [role])

    def _key_use(self, sid: str, actions: Sequence[str]) -> iam.PolicyStatement:
        through_s3 = _through_s3(self._region)
        if self._stage.key_arn is not None:
            return _allow(sid, actions, [self._stage.key_arn], **through_s3)
        tagged = {f"aws:ResourceTag/{STAGE_TAG}": self._target.name}
        return _allow(sid, actions, [self._arn("kms", "key/*")], **through_s3, StringEquals=tagged)

    def _endpoint(self) -> list[str]:
        """Return the endpoint's ARNs, in the spellings of `stacks.endpoint_arns`."""
        name = self._target.endpoint_name
        return [self._arn("sagemaker", f"endpoint/{each}") for each in sorted({name, name.lower()})]

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:{cdk.Aws.PARTITION}:{service}:{self._region}:{self._stage.account}:{resource}"

    def _repository(self, target: StageTarget) -> str:
        """Return the bootstrap's repository of images, in the account and region of a stage."""
        name = f"cdk-{self._qualifier}-container-assets-{target.account}-{target.region}"
        return f"arn:{cdk.Aws.PARTITION}:ecr:{target.region}:{target.account}:repository/{name}"


def _bucket(target: StageTarget) -> str:
    beginning = target.stack_name("AdapterStore").lower()[:_BEGINNING]
    return f"arn:{cdk.Aws.PARTITION}:s3:::{beginning}*"


def _objects(target: StageTarget, prefixes: Sequence[str]) -> list[str]:
    return [f"{_bucket(target)}/{prefix}*" for prefix in prefixes]


def _owned_by(account: str) -> dict[str, dict[str, str]]:
    """Bound a bucket's name, which any account may have, to one account."""
    return {"StringEquals": {"aws:ResourceAccount": account}}


def _through_s3(region: str) -> dict[str, dict[str, str]]:
    # The domain of the partition follows: KMS Developer Guide, kms:ViaService.
    return {"StringLike": {"kms:ViaService": f"s3.{region}.*"}}


def _allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], **conditions: dict[str, str]
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid, actions=list(actions), resources=list(resources), conditions=conditions or None
    )
