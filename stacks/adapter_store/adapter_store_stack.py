"""The adapter store: bucket, key, and the custom resource that fills it from the manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import custom_resources
from constructs import Construct

from adapters.store.layout import (
    ADAPTERS_PREFIX,
    CAPTURED_PREFIX,
    MODELS_PREFIX,
    REGISTRY_PREFIX,
    SEEDING_PREFIX,
)
from adapters.store.retention import RETIRED_TAG
from stacks.config.local_model import LocalModel
from stacks.config.manifest import Manifest, write_json
from stacks.project import LAMBDA_LAYER, ROOT, only

#: One seeding invocation stops itself before Lambda's 15 minutes and goes on in the next.
SEEDER_TIMEOUT = cdk.Duration.minutes(15)
#: CloudFormation waits this long for the whole of the seeding; an hour is the most it allows.
SEEDING_TIMEOUT = cdk.Duration.hours(1)
QUERY_INTERVAL = cdk.Duration.seconds(5)


class AdapterStore(cdk.Stack):
    """Owns everything that has state: the bucket with adapters, registry and mirrored base model."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        manifest: Manifest,
        manifest_directory: Path,
        engine: str,
        max_adapter_rank: int,
        adapter_target_modules: Sequence[str],
        tensor_parallel: int,
        base_model: str,
        base_model_revision: str | None,
        local_model: LocalModel | None,
        model_prefix: str | None,
        trust_remote_code: bool,
        hub_endpoint: str,
        hub_token_secret: str | None,
        decrypt_keys: Sequence[str],
        encrypted_by_key: bool,
        key_arn: str | None,
        key_rotation: cdk.Duration,
        retention: cdk.Duration,
        captured_retention: cdk.Duration,
        log_retention_days: int,
        retain_data: bool,
        env: cdk.Environment,
    ) -> None:
        """`local_model` is packed, a model with a revision is on the Hub.

        Either is put below `model_prefix` for SageMaker to mount, if that is given. `encrypted_by_key` is for
        a KMS key: the one named, or one of the stack's own.
        """
        super().__init__(scope, construct_id, env=env, description="Adapter store of a multi-LoRA endpoint")
        removal = cdk.RemovalPolicy.RETAIN if retain_data else cdk.RemovalPolicy.DESTROY
        self._log_retention_days = log_retention_days
        self.key = self._key(key_arn, key_rotation, removal) if encrypted_by_key else None
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED if self.key is None else s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=None if self.key is None else True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=_lifecycle(retention, captured_retention),
            removal_policy=removal,
        )
        if branches := manifest.unpinned_sources():
            cdk.Annotations.of(self).add_warning_v2(
                "lora-serving:unpinned", f"not pinned to a commit: {', '.join(branches)}"
            )
        desired = self._desired(manifest, manifest_directory, local_model)
        seeder = self._function("Seeder", "on_event", timeout=cdk.Duration.minutes(1))
        self.worker = worker = self._function("SeederWorker", "is_complete", timeout=SEEDER_TIMEOUT)
        self.worker_logs = worker.log_group
        worker.add_layers(self._layer())
        self._grant(worker, desired)
        self._grant_sources(worker, manifest.source_buckets(), hub_token_secret, decrypt_keys)
        if not retain_data:
            self._grant_emptying(worker)
        provider = custom_resources.Provider(
            self,
            "Provider",
            on_event_handler=seeder,
            is_complete_handler=worker,
            query_interval=QUERY_INTERVAL,
            total_timeout=SEEDING_TIMEOUT,
            log_group=self._log_group("ProviderLogs"),
        )
        self.seeding = cdk.CustomResource(
            self,
            "Seeding",
            resource_type="Custom::AdapterSeeding",
            service_token=provider.service_token,
            service_timeout=SEEDING_TIMEOUT,
            properties={
                "Bucket": self.bucket.bucket_name,
                "ManifestBucket": desired.s3_bucket_name,
                "ManifestKey": desired.s3_object_key,
                "Engine": engine,
                "MaxAdapterRank": max_adapter_rank,
                "AdapterTargetModules": ",".join(adapter_target_modules),
                "TensorParallel": tensor_parallel,
                "BaseModel": base_model,
                "BaseModelRevision": base_model_revision or "",
                "ModelPrefix": model_prefix or "",
                "TrustRemoteCode": str(trust_remote_code).lower(),
                "HubEndpoint": hub_endpoint,
                "HubTokenSecret": hub_token_secret or "",
                "Owner": self.stack_name,
                "RetainData": str(retain_data).lower(),
            },
        )
        # The worker must be able to write before it is first called, and for as long as it may be.
        self.seeding.node.add_dependency(worker.role)
        cdk.CfnOutput(self, "AdapterBucket", value=self.bucket.bucket_name)

    def _desired(
        self, manifest: Manifest, manifest_directory: Path, local_model: LocalModel | None
    ) -> s3_assets.Asset:
        """Manifest, local adapters and local model as one asset: the template holds only its hash."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder)
            content = {
                "adapters": manifest.pack(manifest_directory, target),
                "model": {} if local_model is None else local_model.pack(target),
            }
            write_json(target / "manifest.json", content)
            return s3_assets.Asset(self, "Manifest", path=folder)

    def _function(self, construct_id: str, handler: str, *, timeout: cdk.Duration) -> lambda_.Function:
        return lambda_.Function(
            self,
            construct_id,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"lambdas.adapter_seeder.{handler}.handle",
            code=lambda_.Code.from_asset(
                str(ROOT), exclude=only("adapters", "ingest", "lambdas"), ignore_mode=cdk.IgnoreMode.DOCKER
            ),
            timeout=timeout,
            memory_size=512,
            log_group=self._log_group(f"{construct_id}Logs"),
        )

    def _layer(self) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            "SeederPackages",
            description="What lambdas/requirements.txt names",
            code=lambda_.Code.from_asset(str(LAMBDA_LAYER)),
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            compatible_architectures=[lambda_.Architecture.ARM_64],
        )

    def _log_group(self, construct_id: str) -> logs.LogGroup:
        group = logs.LogGroup(self, construct_id, removal_policy=cdk.RemovalPolicy.DESTROY)
        resource = cast(logs.CfnLogGroup, group.node.default_child)
        # The construct itself takes names of periods, not days.
        resource.retention_in_days = self._log_retention_days
        return group

    def _key(self, arn: str | None, rotation: cdk.Duration, removal: cdk.RemovalPolicy) -> kms.IKey:
        if arn is not None:
            return kms.Key.from_key_arn(self, "Key", arn)
        return kms.Key(
            self,
            "Key",
            description="Adapters at rest",
            enable_key_rotation=True,
            rotation_period=rotation,
            removal_policy=removal,
        )

    def _grant(self, worker: lambda_.Function, desired: s3_assets.Asset) -> None:
        """Read the manifest asset; read and write the store, and go on with unfinished uploads.

        What it deletes leaves a marker: old versions stay until the bucket's lifecycle ends them.
        """
        # Not the one asset: a right that changed with each manifest would be used a second later, before IAM
        # has it everywhere.
        assets = desired.bucket.arn_for_objects("*")
        objects = [
            self.bucket.arn_for_objects(f"{prefix}*")
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
            iam.PolicyStatement(
                sid="ListStore",
                actions=["s3:ListBucket", "s3:ListBucketMultipartUploads"],
                resources=[self.bucket.bucket_arn],
            ),
        ]
        if self.key is not None:
            # What S3 asks of KMS for those who put, get and copy objects; a part of an upload needs both.
            statements.append(
                iam.PolicyStatement(
                    sid="UseKey", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[self.key.key_arn]
                )
            )
        for statement in statements:
            worker.add_to_role_policy(statement)

    def _grant_sources(
        self, worker: lambda_.Function, buckets: list[str], secret: str | None, decrypt_keys: Sequence[str]
    ) -> None:
        """Read the manifest's S3 sources and the Hub token."""
        if buckets:
            arns = [self.format_arn(service="s3", region="", account="", resource=name) for name in buckets]
            worker.add_to_role_policy(
                iam.PolicyStatement(
                    sid="ReadSources", actions=["s3:GetObject"], resources=[f"{arn}/*" for arn in arns]
                )
            )
            # Without it, S3 says that an object which is missing may not be read.
            worker.add_to_role_policy(
                iam.PolicyStatement(sid="ListSources", actions=["s3:ListBucket"], resources=arns)
            )
        if decrypt_keys:
            worker.add_to_role_policy(
                iam.PolicyStatement(
                    sid="DecryptSources", actions=["kms:Decrypt"], resources=list(decrypt_keys)
                )
            )
        if secret is not None:
            secretsmanager.Secret.from_secret_name_v2(self, "HubToken", secret).grant_read(worker)

    def _grant_emptying(self, worker: lambda_.Function) -> None:
        """CloudFormation cannot delete a bucket that is not empty; the seeder empties it first."""
        worker.add_to_role_policy(
            iam.PolicyStatement(
                actions=["s3:DeleteObjectVersion"],
                resources=[self.bucket.arn_for_objects("*")],
            )
        )
        worker.add_to_role_policy(
            iam.PolicyStatement(actions=["s3:ListBucketVersions"], resources=[self.bucket.bucket_arn])
        )


def _lifecycle(retention: cdk.Duration, captured_retention: cdk.Duration) -> list[s3.LifecycleRule]:
    """Expire retired revisions (`adapters.store.retention`), captures, old versions, unfinished uploads."""
    key, value = RETIRED_TAG
    return [
        s3.LifecycleRule(
            id="Retired", tag_filters={key: value}, prefix=ADAPTERS_PREFIX, expiration=retention
        ),
        s3.LifecycleRule(
            id="OldVersions", noncurrent_version_expiration=retention, expired_object_delete_marker=True
        ),
        s3.LifecycleRule(
            id="SeedersNotes", prefix=SEEDING_PREFIX, noncurrent_version_expiration=cdk.Duration.days(1)
        ),
        s3.LifecycleRule(
            id="Captured",
            prefix=CAPTURED_PREFIX,
            expiration=captured_retention,
            noncurrent_version_expiration=cdk.Duration.days(1),
        ),
        s3.LifecycleRule(
            id="UnfinishedUploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(7)
        ),
    ]
