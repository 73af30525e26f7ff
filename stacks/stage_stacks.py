"""The stacks of a stage, each made from what the stage file says of it.

Constructs take plain values; this module and `stacks.stage` are all that see the config object.
"""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from adapters.store.layout import CAPTURED_PREFIX
from adapters.store.layout import model_prefix as store_model_prefix
from stacks.adapter_store.adapter_store_stack import AdapterStore
from stacks.config.derived import environment, inference_ami, monthly_cost, rollout_plan
from stacks.config.local_model import LocalModel
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.network.network_stack import Network
from stacks.observability.alarm import Thresholds
from stacks.observability.observability_stack import Observability
from stacks.scaling import Scaling, ScheduledLimits
from stacks.serving.serving_stack import VARIANT, MetricsOptions, Serving, Variant
from stacks.sizing.instances import instance_type


def adapter_store(scope: Construct, stage: LoadedStage) -> AdapterStore:
    """Bucket, key and seeding."""
    config = stage.config
    return AdapterStore(
        scope,
        "AdapterStore",
        manifest=stage.manifest,
        manifest_directory=(stage.directory / config.adapters).parent,
        engine=config.engine.name,
        max_adapter_rank=config.engine.max_adapter_rank,
        adapter_target_modules=config.engine.adapter_target_modules or (),
        tensor_parallel=config.engine.tensor_parallel,
        base_model=config.base_model.name,
        base_model_revision=config.base_model.revision,
        local_model=_local_model(stage),
        model_prefix=_model_prefix(stage),
        trust_remote_code=config.engine.trust_remote_code,
        hub_endpoint=config.hub_endpoint,
        hub_token_secret=config.hub_token_secret,
        decrypt_keys=config.decrypt_keys,
        encrypted_by_key=config.security.encryption == "customer_key",
        key_arn=config.security.key_arn,
        key_rotation=cdk.Duration.days(config.security.key_rotation_days),
        retention=cdk.Duration.days(config.retention_days),
        captured_retention=cdk.Duration.days(config.endpoint.data_capture.retention_days),
        log_retention_days=config.observability.log_retention_days,
        retain_data=config.retain_data,
        env=_env(config),
    )


def network(
    scope: Construct, config: StageConfig, *, endpoint_name: str, store: AdapterStore
) -> Network | None:
    """The VPC, or what an existing one lacks; None where nothing is to be made."""
    given = config.network
    if given.mode == "public" or given.security_group_ids:
        return None
    return Network(
        scope,
        "Network",
        mode=given.mode,
        bucket_name=store.bucket.bucket_name,
        endpoint_name=endpoint_name,
        data_capture_arn=store.bucket.arn_for_objects(f"{CAPTURED_PREFIX}*")
        if config.endpoint.data_capture.percent
        else None,
        vpc_id=given.vpc_id,
        subnet_ids=given.subnet_ids,
        cidr=given.cidr,
        log_retention_days=config.observability.log_retention_days,
        env=_env(config),
    )


def observability(
    scope: Construct, stage: LoadedStage, *, endpoint_name: str, store: AdapterStore
) -> Observability:
    """Alarms, dashboard and logs."""
    config, told = stage.config, stage.config.observability
    instance, cost = instance_type(config.endpoint.instance_type), monthly_cost(stage)
    return Observability(
        scope,
        "Observability",
        endpoint_name=endpoint_name,
        variant=VARIANT,
        metrics_seconds=config.gateway.metrics_seconds,
        gpus=0 if instance is None else instance.gpus,
        price_per_hour=None if cost is None else cost.instance_hour,
        thresholds=Thresholds(
            target_concurrent_requests=_target_concurrency(config),
            max_instances=config.autoscaling.max_instances,
            error_percent=told.error_percent,
            gpu_memory_percent=told.gpu_memory_percent,
            disk_percent=told.disk_percent,
        ),
        alarm_topic_arn=told.alarm_topic,
        alarm_emails=told.alarm_emails,
        seeder_worker_name=store.worker.function_name,
        seeder_log_group_name=store.worker_logs.log_group_name,
        log_retention_days=told.log_retention_days,
        dashboard=told.dashboard,
        env=_env(config),
    )


def serving(
    scope: Construct,
    stage: LoadedStage,
    *,
    store: AdapterStore,
    network: Network | None,
    rollback_alarms: list[str],
) -> Serving:
    """The endpoint."""
    config, endpoint = stage.config, stage.config.endpoint
    return Serving(
        scope,
        "Serving",
        bucket=store.bucket,
        key=store.key,
        model_prefix=_model_prefix(stage),
        image=config.image,
        engine=config.engine.name,
        environment=environment(config),
        variant=Variant(
            instance_type=endpoint.instance_type,
            instance_count=endpoint.instance_count,
            volume_gb=endpoint.volume_gb,
            startup_health_check_seconds=endpoint.startup_health_check_seconds,
            model_download_seconds=endpoint.model_download_seconds,
            inference_ami_version=inference_ami(config),
            routing=endpoint.routing,
        ),
        scaled=config.autoscaling.enabled,
        volume_key=endpoint.volume_key,
        metrics=MetricsOptions(
            enhanced=endpoint.enhanced_metrics,
            detailed=endpoint.detailed_observability,
            publish_seconds=endpoint.metrics_publish_seconds,
        ),
        capture_percent=endpoint.data_capture.percent,
        capture_record=endpoint.data_capture.record,
        rollout=rollout_plan(config),
        rollback_alarms=rollback_alarms if config.rollout.rollback_on_alarms else (),
        subnet_ids=config.network.subnet_ids if network is None else network.subnet_ids,
        security_group_ids=config.network.security_group_ids
        if network is None
        else network.security_group_ids,
        env=_env(config),
    )


def scaling(scope: Construct, config: StageConfig, *, endpoint_name: str) -> Scaling:
    """Autoscaling, or what takes an earlier one away."""
    limits = config.autoscaling
    return Scaling(
        scope,
        "Scaling",
        enabled=limits.enabled,
        endpoint_name=endpoint_name,
        variant=VARIANT,
        metric=limits.metric,
        target=limits.target,
        min_instances=limits.min_instances,
        max_instances=limits.max_instances,
        scale_out_cooldown_seconds=limits.scale_out_cooldown_seconds,
        scale_in_cooldown_seconds=limits.scale_in_cooldown_seconds,
        schedules=[ScheduledLimits(**dict(schedule)) for schedule in limits.schedules],
        env=_env(config),
    )


def _env(config: StageConfig) -> cdk.Environment:
    return cdk.Environment(account=config.account, region=config.region)


def _target_concurrency(config: StageConfig) -> float:
    """Requests at once, per instance, that autoscaling aims at; without it, what the engine takes at once."""
    if config.autoscaling.enabled and config.autoscaling.metric == "concurrent_requests":
        return config.autoscaling.target
    return config.engine.max_concurrent_requests


def _local_model(stage: LoadedStage) -> LocalModel | None:
    folder = stage.local_model
    return None if folder is None else LocalModel(stage.config.base_model.name, folder)


def _model_prefix(stage: LoadedStage) -> str | None:
    """Where the model lies in the bucket; None if the container fetches it from the Hub."""
    model = stage.config.base_model
    if (local := _local_model(stage)) is not None:
        return local.prefix
    if not model.mirror:
        return None
    # With its code it is another set of files.
    code = "-with-code" if stage.config.engine.trust_remote_code else ""
    return store_model_prefix(model.name, f"{model.revision}{code}")
