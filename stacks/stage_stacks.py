"""Factories of a stage's stacks, each from the stage's configuration.

Stacks take plain values and their own types; this module and `stacks.stage` are the only ones with access to
the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from adapters.store.layout import CAPTURED_PREFIX, DEMAND_PREFIX, PROBES_PREFIX
from adapters.store.layout import model_prefix as store_model_prefix
from stacks.adapter_store.adapter_store_stack import (
    AdapterStoreStack,
    BaseModelFiles,
    KeyOptions,
    RetentionPeriods,
    SourceAccess,
)
from stacks.adapter_store.grants import grant_readers
from stacks.adapter_store.seeder_function import AdapterSources
from stacks.config.derived import environment, inference_ami, monthly_cost, rollout_plan
from stacks.config.local_adapters import stage_rules
from stacks.config.local_model import LocalModel
from stacks.config.scaling_target import scaling_target
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.network.network_stack import AllowedResources, ExistingVpc, NetworkStack, NewVpc
from stacks.observability.alarm import Thresholds
from stacks.observability.metric import Source
from stacks.observability.observability_stack import (
    DashboardOptions,
    Notification,
    ObservabilityStack,
    SeederNames,
)
from stacks.scaling import CapacityLimits, ScalingStack, ScheduledLimits, TargetTracking
from stacks.serving.references import StoreReferences, VpcPlacement
from stacks.serving.serving_stack import (
    VARIANT,
    Capture,
    ContainerSpec,
    MetricsOptions,
    ServingStack,
    UpdatePolicy,
    Variant,
)
from stacks.sizing.instances import INSTANCE_TYPES


def create_adapter_store(scope: Construct, stage: LoadedStage) -> AdapterStoreStack:
    """Create bucket, key and seeding."""
    config, security = stage.config, stage.config.security
    store = AdapterStoreStack(
        scope,
        "AdapterStore",
        adapters=AdapterSources(
            manifest=stage.manifest, directory=(stage.directory / config.adapters).parent
        ),
        rules=stage_rules(config.engine, config.base_model),
        base_model=BaseModelFiles(
            revision=config.base_model.revision,
            local=_local_model(stage),
            prefix=_model_prefix(stage),
            with_code=config.engine.trust_remote_code,
        ),
        sources=SourceAccess(
            hub_endpoint=config.hub_endpoint,
            hub_token_secret=config.hub_token_secret,
            decrypt_keys=config.decrypt_keys,
            locked=config.adapters_locked,
        ),
        key=KeyOptions(arn=security.key_arn, rotation=cdk.Duration.days(security.key_rotation_days))
        if security.encryption == "customer_key"
        else None,
        retention=RetentionPeriods(
            retired=cdk.Duration.days(config.retention_days),
            captured=cdk.Duration.days(config.endpoint.data_capture.retention_days),
            log_days=config.observability.log_retention_days,
            retain_data=config.retain_data,
        ),
        env=_env(config),
    )
    grant_readers(store.bucket, store.key, config.store_readers)
    return store


def create_network(
    scope: Construct, config: StageConfig, *, endpoint_name: str, store: AdapterStoreStack
) -> NetworkStack | None:
    """Create a VPC, or the security group for an existing one; None if there is nothing to create."""
    network = config.network
    if network.mode == "public" or network.security_group_ids:
        return None
    return NetworkStack(
        scope,
        "Network",
        mode=network.mode,
        vpc=NewVpc(
            cidr=network.cidr,
            zones=network.availability_zones,
            log_retention_days=config.observability.log_retention_days,
        )
        if network.vpc_id is None
        else ExistingVpc(vpc_id=network.vpc_id, subnet_ids=network.subnet_ids),
        allowed=AllowedResources(
            bucket_name=store.bucket.bucket_name,
            endpoint_name=endpoint_name,
            writable=[
                *([CAPTURED_PREFIX] if config.endpoint.data_capture.percent else []),
                PROBES_PREFIX,
                f"{DEMAND_PREFIX}{endpoint_name}/",
            ],
        ),
        env=_env(config),
    )


def create_observability(
    scope: Construct, stage: LoadedStage, *, endpoint_name: str, store: AdapterStoreStack
) -> ObservabilityStack:
    """Create alarms, dashboard and log group."""
    config, options = stage.config, stage.config.observability
    cost = monthly_cost(stage)
    return ObservabilityStack(
        scope,
        "Observability",
        source=metrics_source(config, endpoint_name),
        thresholds=thresholds(config, stage.local_model),
        seeder=SeederNames(worker=store.worker.function_name, log_group=store.worker_logs.log_group_name),
        notification=Notification(topic_arn=options.alarm_topic, emails=options.alarm_emails),
        dashboard=DashboardOptions(price_per_hour=None if cost is None else cost.instance_hour)
        if options.dashboard
        else None,
        log_retention_days=options.log_retention_days,
        env=_env(config),
    )


def create_serving(
    scope: Construct,
    stage: LoadedStage,
    *,
    store: AdapterStoreStack,
    network: NetworkStack | None,
    rollback_alarms: Sequence[str],
) -> ServingStack:
    """Create the endpoint."""
    config, endpoint = stage.config, stage.config.endpoint
    capture = endpoint.data_capture
    return ServingStack(
        scope,
        "Serving",
        store=StoreReferences(bucket=store.bucket, key=store.key, model_prefix=_model_prefix(stage)),
        container=ContainerSpec(
            image=config.image, engine=config.engine.name, environment=environment(config)
        ),
        variant=Variant(
            instance_type=endpoint.instance_type,
            instance_count=endpoint.instance_count,
            autoscaled=config.autoscaling.enabled,
            volume_key=endpoint.volume_key,
            startup_health_check_seconds=endpoint.startup_health_check_seconds,
            model_download_seconds=endpoint.model_download_seconds,
            inference_ami_version=inference_ami(config),
            routing=endpoint.routing,
            full_at=config.engine.max_concurrent_requests,
        ),
        metrics=MetricsOptions(
            enhanced=endpoint.enhanced_metrics,
            detailed=endpoint.detailed_observability,
            publish_seconds=endpoint.metrics_publish_seconds,
        ),
        capture=Capture(percent=capture.percent, record=capture.record) if capture.percent else None,
        update_policy=UpdatePolicy(
            plan=rollout_plan(config),
            alarms=rollback_alarms if config.rollout.rollback_on_alarms else (),
        ),
        network=_vpc_placement(config, network),
        env=_env(config),
    )


def create_scaling(scope: Construct, stage: LoadedStage, *, endpoint_name: str) -> ScalingStack:
    """Create autoscaling, or the stack that removes an earlier one."""
    config, options = stage.config, stage.config.autoscaling
    return ScalingStack(
        scope,
        "Scaling",
        endpoint_name=endpoint_name,
        variant=VARIANT,
        tracking=TargetTracking(
            metric=options.metric,
            target=scaling_target(config, stage.local_model).value,
            scale_out_cooldown_seconds=options.scale_out_cooldown_seconds,
            scale_in_cooldown_seconds=options.scale_in_cooldown_seconds,
        )
        if options.enabled
        else None,
        limits=CapacityLimits(min_instances=options.min_instances, max_instances=options.max_instances),
        schedules=[
            ScheduledLimits(
                name=schedule.name,
                cron=schedule.cron,
                timezone=schedule.timezone,
                limits=CapacityLimits(
                    min_instances=schedule.min_instances, max_instances=schedule.max_instances
                ),
            )
            for schedule in options.schedules
        ],
        env=_env(config),
    )


def metrics_source(config: StageConfig, endpoint_name: str) -> Source:
    """Make the source of the endpoint's metrics."""
    return Source(
        endpoint_name=endpoint_name,
        variant=VARIANT,
        metrics_seconds=config.gateway.metrics_seconds,
        gpus=INSTANCE_TYPES[config.endpoint.instance_type].gpus,
    )


def thresholds(config: StageConfig, model: Path | None) -> Thresholds:
    """Collect the stage's alarm thresholds from its sections; `model` is the directory of a local model."""
    return Thresholds(
        target_concurrent_requests=_target_concurrency(config, model),
        max_instances=config.autoscaling.max_instances,
        error_percent=config.observability.error_percent,
        gpu_memory_percent=config.observability.gpu_memory_percent,
        disk_percent=config.observability.disk_percent,
    )


def _env(config: StageConfig) -> cdk.Environment:
    return cdk.Environment(account=config.account, region=config.region)


def _target_concurrency(config: StageConfig, model: Path | None) -> float:
    """Concurrent requests per instance that autoscaling aims at; without it, the engine's maximum."""
    if config.autoscaling.enabled and config.autoscaling.metric == "concurrent_requests":
        return scaling_target(config, model).value
    return config.engine.max_concurrent_requests


def _vpc_placement(config: StageConfig, network: NetworkStack | None) -> VpcPlacement | None:
    """The stage's network stack, or the existing subnets that it names; None in mode `public`."""
    if network is not None:
        return VpcPlacement(subnet_ids=network.subnet_ids, security_group_ids=network.security_group_ids)
    if not config.network.subnet_ids:
        return None
    return VpcPlacement(
        subnet_ids=config.network.subnet_ids, security_group_ids=config.network.security_group_ids
    )


def _local_model(stage: LoadedStage) -> LocalModel | None:
    folder = stage.local_model
    return None if folder is None else LocalModel(stage.config.base_model.name, folder)


def _model_prefix(stage: LoadedStage) -> str | None:
    """Key prefix of the model in the bucket; None if the container downloads it from the Hub."""
    model = stage.config.base_model
    if (local := _local_model(stage)) is not None:
        return local.prefix
    if not model.mirror:
        return None
    # A mirror with the model's code is another set of files.
    code = "-with-code" if stage.config.engine.trust_remote_code else ""
    return store_model_prefix(model.name, f"{model.revision}{code}")
