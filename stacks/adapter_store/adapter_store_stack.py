"""The adapter store: bucket, key, and the custom resource that seeds the bucket from the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import custom_resources
from constructs import Construct

from adapters.store.layout import ADAPTERS_PREFIX, CAPTURED_PREFIX, DEMAND_PREFIX, SEEDING_PREFIX
from adapters.store.retention import RETIRED_TAG
from adapters.validation.rules import Rules
from stacks.adapter_store.grants import grant_emptying, grant_sources, grant_store
from stacks.adapter_store.seeder_function import (
    QUERY_INTERVAL,
    SEEDER_TIMEOUT,
    SEEDING_TIMEOUT,
    AdapterSources,
    desired_state,
    log_group,
    packages_layer,
    seeder_function,
)
from stacks.config.local_model import LocalModel


@dataclass(frozen=True, kw_only=True)
class BaseModelFiles:
    """The base model's files, and the prefix that SageMaker mounts them from."""

    revision: str | None
    """Commit of a model on the Hub; None for a local one."""
    local: LocalModel | None
    """A model to pack from a directory; None for one on the Hub."""
    prefix: str | None
    """Key prefix in the bucket to put the files under; None if the container downloads them from the Hub."""
    with_code: bool
    """Copy the model's Python code too (`trust_remote_code`)."""


@dataclass(frozen=True, kw_only=True)
class SourceAccess:
    """Access of the seeder to adapters and models outside of the store."""

    hub_endpoint: str
    """URL of the Hub, or of a mirror with the same routes."""
    hub_token_secret: str | None
    """Name of the Secrets Manager secret with the Hub token; None for public repositories only."""
    decrypt_keys: Sequence[str] = ()
    """ARNs of further KMS keys: of source buckets and of the token's secret."""
    locked: bool = False
    """The S3 sources are revisions in the stores of stages, and nothing else is read there."""


@dataclass(frozen=True, kw_only=True)
class KeyOptions:
    """The KMS key of the bucket."""

    arn: str | None
    """An existing key; None to create one."""
    rotation: cdk.Duration
    """Rotation period of a created key."""


@dataclass(frozen=True, kw_only=True)
class RetentionPeriods:
    """Lifetimes of objects, logs, and of the bucket itself."""

    retired: cdk.Duration
    """Of revisions that no name resolves to any more, and of noncurrent object versions."""
    captured: cdk.Duration
    """Of captured requests and answers."""
    log_days: int
    """Of the seeder's logs: one of the numbers that CloudWatch Logs takes."""
    retain_data: bool
    """Keep bucket, key and contents when the stack is deleted."""


class AdapterStoreStack(cdk.Stack):
    """All state of a stage: the bucket with adapters, registry and mounted base model, and its key."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        adapters: AdapterSources,
        rules: Rules,
        base_model: BaseModelFiles,
        sources: SourceAccess,
        key: KeyOptions | None,
        retention: RetentionPeriods,
        env: cdk.Environment,
    ) -> None:
        """`rules` are checked for each adapter; without `key` S3 encrypts the bucket with its own."""
        super().__init__(scope, construct_id, env=env, description="Adapter store of a multi-LoRA endpoint")
        keep = retention.retain_data
        removal = cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY
        self.key = None if key is None else self._key(key, removal)
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
            lifecycle_rules=_lifecycle(retention),
            removal_policy=removal,
        )
        if branches := adapters.manifest.unpinned_sources():
            cdk.Annotations.of(self).add_warning_v2(
                "lora-serving:unpinned", f"not pinned to a commit: {', '.join(branches)}"
            )
        if adapters.manifest.removals == "allow":
            cdk.Annotations.of(self).add_warning_v2(
                "lora-serving:removals",
                "the manifest has `removals: allow`: deploys may remove any number of adapters; delete the "
                "key after this one",
            )
        desired = desired_state(self, adapters, base_model.local)
        self.packed_adapters = desired.adapters
        """The packed manifest's entries, see `stacks.config.manifest.Manifest.pack`."""
        local = base_model.local
        self.model_revision = base_model.revision if local is None else local.revision
        """Commit of a model on the Hub; of a local one, the revision of its content."""
        on_event = seeder_function(
            self,
            "Seeder",
            handler="on_event",
            timeout=cdk.Duration.minutes(1),
            log_retention_days=retention.log_days,
        )
        self.worker = worker = seeder_function(
            self,
            "SeederWorker",
            handler="is_complete",
            timeout=SEEDER_TIMEOUT,
            log_retention_days=retention.log_days,
        )
        self.worker_logs = worker.log_group
        worker.add_layers(packages_layer(self))
        grant_store(worker, bucket=self.bucket, key=self.key, desired=desired.asset)
        grant_sources(
            self,
            worker,
            buckets=adapters.manifest.source_buckets(),
            locked=sources.locked,
            token_secret=sources.hub_token_secret,
            decrypt_keys=sources.decrypt_keys,
        )
        if not keep:
            grant_emptying(worker, self.bucket)
        provider = custom_resources.Provider(
            self,
            "Provider",
            on_event_handler=on_event,
            is_complete_handler=worker,
            query_interval=QUERY_INTERVAL,
            total_timeout=SEEDING_TIMEOUT,
            log_group=log_group(self, "ProviderLogs", retention_days=retention.log_days),
        )
        self.seeding = cdk.CustomResource(
            self,
            "Seeding",
            resource_type="Custom::AdapterSeeding",
            service_token=provider.service_token,
            service_timeout=SEEDING_TIMEOUT,
            properties={
                "Bucket": self.bucket.bucket_name,
                **_seeding_properties(desired.asset, rules, base_model, sources),
                "Owner": self.stack_name,
                "RetainData": str(keep).lower(),
            },
        )
        # The worker's rights must exist before its first call, and until after its last one.
        self.seeding.node.add_dependency(worker.role)
        cdk.CfnOutput(self, "AdapterBucket", value=self.bucket.bucket_name)

    def _key(self, options: KeyOptions, removal: cdk.RemovalPolicy) -> kms.IKey:
        if options.arn is not None:
            return kms.Key.from_key_arn(self, "Key", options.arn)
        return kms.Key(
            self,
            "Key",
            description="Adapters at rest",
            enable_key_rotation=True,
            rotation_period=options.rotation,
            removal_policy=removal,
        )


def _seeding_properties(
    desired: s3_assets.Asset, rules: Rules, base_model: BaseModelFiles, sources: SourceAccess
) -> dict[str, object]:
    """Properties of the custom resource, as `lambdas.adapter_seeder.properties` reads them."""
    return {
        "ManifestBucket": desired.s3_bucket_name,
        "ManifestKey": desired.s3_object_key,
        "Engine": rules.engine,
        "MaxAdapterRank": rules.max_rank,
        "AdapterTargetModules": ",".join(rules.target_modules or ()),
        "TensorParallel": rules.gpus,
        "BaseModel": rules.base_model,
        "BaseModelNames": json.dumps(rules.also_known_as),
        "BaseModelRevision": base_model.revision or "",
        "ModelPrefix": base_model.prefix or "",
        "TrustRemoteCode": str(base_model.with_code).lower(),
        "HubEndpoint": sources.hub_endpoint,
        "HubTokenSecret": sources.hub_token_secret or "",
    }


def _lifecycle(retention: RetentionPeriods) -> list[s3.LifecycleRule]:
    """Expire retired revisions (`adapters.store.retention`), captures, lists of demand, old versions and
    unfinished uploads.
    """
    key, value = RETIRED_TAG
    return [
        s3.LifecycleRule(
            id="Retired", tag_filters={key: value}, prefix=ADAPTERS_PREFIX, expiration=retention.retired
        ),
        s3.LifecycleRule(
            id="OldVersions",
            noncurrent_version_expiration=retention.retired,
            expired_object_delete_marker=True,
        ),
        s3.LifecycleRule(
            id="SeedersNotes", prefix=SEEDING_PREFIX, noncurrent_version_expiration=cdk.Duration.days(1)
        ),
        s3.LifecycleRule(
            id="Captured",
            prefix=CAPTURED_PREFIX,
            expiration=retention.captured,
            noncurrent_version_expiration=cdk.Duration.days(1),
        ),
        s3.LifecycleRule(
            # An instance writes its list every half minute; after a day nothing reads it.
            id="Demand",
            prefix=DEMAND_PREFIX,
            expiration=cdk.Duration.days(2),
            noncurrent_version_expiration=cdk.Duration.days(1),
        ),
        s3.LifecycleRule(
            id="UnfinishedUploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(7)
        ),
    ]
