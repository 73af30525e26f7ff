"""The seeder worker's permissions, action by action: CDK's own grants give more than is used."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from adapters.store.layout import (
    ADAPTERS_PREFIX,
    MODELS_PREFIX,
    REGISTRY_PREFIX,
    RELEASES_PREFIX,
    SEEDING_PREFIX,
)


def grant_store(
    worker: lambda_.Function, *, bucket: s3.IBucket, key: kms.IKey | None, desired: s3_assets.Asset
) -> None:
    """Allow to read the manifest asset, to read and write the store, and to continue unfinished uploads.

    A deleted object leaves a delete marker: old versions stay until the bucket's lifecycle expires them.
    """
    # The whole assets bucket: a right on one asset would change with each manifest and be used a second
    # later, before IAM has propagated it.
    assets = desired.bucket.arn_for_objects("*")
    objects = [
        bucket.arn_for_objects(f"{prefix}*")
        for prefix in (ADAPTERS_PREFIX, MODELS_PREFIX, REGISTRY_PREFIX, SEEDING_PREFIX)
    ]
    tagging = ["s3:PutObjectTagging", "s3:DeleteObjectTagging"]
    statements = [
        iam.PolicyStatement(sid="ReadManifest", actions=["s3:GetObject"], resources=[assets]),
        iam.PolicyStatement(
            sid="UseStore",
            actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            resources=objects,
        ),
        iam.PolicyStatement(
            sid="GoOnWithUploads",
            actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            resources=objects[:2],
        ),
        iam.PolicyStatement(sid="Retire", actions=tagging, resources=objects[:1]),
        # To know whether an update goes back, `lambdas.adapter_seeder.removals`.
        iam.PolicyStatement(
            sid="ReadOwnStatus",
            actions=["cloudformation:DescribeStacks"],
            resources=[cdk.Stack.of(worker).stack_id],
        ),
        iam.PolicyStatement(
            sid="ListStore",
            actions=["s3:ListBucket", "s3:ListBucketMultipartUploads"],
            resources=[bucket.bucket_arn],
        ),
    ]
    if key is not None:
        # S3 checks these at KMS for the caller that puts, gets or copies an object; a part of an upload
        # needs both.
        statements.append(
            iam.PolicyStatement(
                sid="UseKey", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]
            )
        )
    for statement in statements:
        worker.add_to_role_policy(statement)


def grant_sources(
    scope: Construct,
    worker: lambda_.Function,
    *,
    buckets: Sequence[str],
    locked: bool,
    token_secret: str | None,
    decrypt_keys: Sequence[str],
) -> None:
    """Allow to read the manifest's S3 sources (`buckets` by name) and the Hub token's secret (by name).

    The sources of a `locked` manifest are revisions in the stores of stages, whose policies allow nothing
    else (`grant_readers`).
    """
    if buckets:
        stack = cdk.Stack.of(scope)
        arns = [stack.format_arn(service="s3", region="", account="", resource=name) for name in buckets]
        objects = f"{ADAPTERS_PREFIX}*" if locked else "*"
        worker.add_to_role_policy(
            iam.PolicyStatement(
                sid="ReadSources", actions=["s3:GetObject"], resources=[f"{arn}/{objects}" for arn in arns]
            )
        )
        if not locked:
            # Without it, S3 answers 403 instead of 404 for a missing object.
            worker.add_to_role_policy(
                iam.PolicyStatement(sid="ListSources", actions=["s3:ListBucket"], resources=arns)
            )
    if decrypt_keys:
        worker.add_to_role_policy(
            iam.PolicyStatement(sid="DecryptSources", actions=["kms:Decrypt"], resources=list(decrypt_keys))
        )
    if token_secret is not None:
        secretsmanager.Secret.from_secret_name_v2(scope, "HubToken", token_secret).grant_read(worker)


def grant_readers(bucket: s3.Bucket, key: kms.IKey | None, readers: Sequence[str]) -> None:
    """Allow accounts and roles to read what a promotion to their stage needs, and to decrypt it through S3.

    Adapters, registry and releases, object by object; captured requests and the base model are neither. They
    may not list: S3 then answers 403 to a request for a missing object, as to a forbidden one (S3 API
    Reference, GetObject). A condition on s3:prefix would not change that, because such a request has none,
    and without a condition the list shows the keys of captured requests.
    """
    if not readers:
        return
    principals = [
        iam.ArnPrincipal(one) if one.startswith("arn:") else iam.AccountPrincipal(one) for one in readers
    ]
    prefixes = (ADAPTERS_PREFIX, REGISTRY_PREFIX, RELEASES_PREFIX)
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid="ReadByStages",
            principals=principals,
            actions=["s3:GetObject"],
            resources=[bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes],
        )
    )
    if key is not None:
        # No effect on an existing key, whose policy is not this app's: synth warns (`stacks.config.checks`).
        stack = cdk.Stack.of(bucket)
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="DecryptByStages",
                principals=principals,
                actions=["kms:Decrypt"],
                resources=["*"],  # in a key's policy: this key
                # The domain of the partition follows: KMS Developer Guide, kms:ViaService.
                conditions={"StringLike": {"kms:ViaService": f"s3.{stack.region}.*"}},
            )
        )


def grant_emptying(worker: lambda_.Function, bucket: s3.IBucket) -> None:
    """Allow to delete every version: CloudFormation cannot delete a bucket that is not empty."""
    worker.add_to_role_policy(
        iam.PolicyStatement(actions=["s3:DeleteObjectVersion"], resources=[bucket.arn_for_objects("*")])
    )
    worker.add_to_role_policy(
        iam.PolicyStatement(actions=["s3:ListBucketVersions"], resources=[bucket.bucket_arn])
    )
