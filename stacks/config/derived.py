"""Values derived from several sections of a stage file."""

from __future__ import annotations

from container.gateway.telemetry.names import ADAPTER_METRICS, INSTANCE_METRICS
from stacks.config.container_environment import container_environment
from stacks.config.memory_check import planned_cpu_adapters
from stacks.config.rollout_plan import RolloutPlan, resolved
from stacks.config.scaling_target import scaling_target
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.observability.log_metrics import ENDPOINT_PATTERNS, SEEDER_PATTERNS
from stacks.sizing.cost_estimate import BilledUsage, Estimate, estimate
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.instances import INSTANCE_TYPES, choose_ami

#: CloudWatch metrics of each requested adapter, without the rare Errors.<type>.
METRICS_PER_ADAPTER = len(ADAPTER_METRICS)
#: CloudWatch metrics of the instances' state.
METRICS_OF_STATE = len(INSTANCE_METRICS)
#: Zones with the interface endpoint of a private VPC that the stage creates (`stacks.network`).
ENDPOINT_ZONES = 2
#: CloudWatch metrics of log lines.
METRICS_OF_LOGS = len(ENDPOINT_PATTERNS) + len(SEEDER_PATTERNS)


def fewest_instances(config: StageConfig) -> int:
    """Return the smallest size of the fleet during an update."""
    scaling = config.autoscaling
    if not scaling.enabled:
        return config.endpoint.instance_count
    return min([scaling.min_instances, *(schedule.min_instances for schedule in scaling.schedules)])


def most_instances(config: StageConfig) -> int:
    """Return the largest size of the fleet during an update."""
    scaling = config.autoscaling
    if not scaling.enabled:
        return config.endpoint.instance_count
    return max([scaling.max_instances, *(schedule.max_instances for schedule in scaling.schedules)])


def rollout_plan(config: StageConfig) -> RolloutPlan:
    """Make the plan by which an update replaces the stage's fleet."""
    rollout = config.rollout
    return RolloutPlan(
        strategy=resolved(rollout.strategy, fewest_instances(config)),
        step_percent=rollout.step_percent,
        step_seconds=rollout.step_seconds,
        batch_percent=rollout.batch_percent,
        bake_seconds=rollout.bake_seconds,
        instance_seconds=config.endpoint.startup_health_check_seconds
        + (config.endpoint.model_download_seconds if has_mounted_model(config) else 0),
        fewest_instances=fewest_instances(config),
        most_instances=most_instances(config),
        timeout_seconds=rollout.timeout_seconds,
    )


def billed_usage(stage: LoadedStage, *, alarms: int = 0) -> BilledUsage:
    """Collect the resources of a stage that are billed.

    All metrics are counted, as if each adapter with separate metrics were requested every hour.
    """
    config = stage.config
    plan, most = rollout_plan(config), most_instances(config)
    measured = min(len(list(stage.manifest.published_names())), config.gateway.metrics_max_adapters)
    expected = config.cost.expected_instances
    creates_vpc = config.network.mode != "public" and config.network.vpc_id is None
    nat_gateways = int(creates_vpc and config.network.mode == "vpc")
    return BilledUsage(
        instance_type=config.endpoint.instance_type,
        region=config.region,
        minimum=fewest_instances(config),
        expected=config.endpoint.instance_count if expected is None else expected,
        maximum=most,
        storage_gb=config.cost.storage_gb,
        rollout_instances=plan.quota(most) - most,
        kms_keys=(config.security.encryption == "customer_key" and config.security.key_arn is None)
        + (config.observability.alarm_topic is None),
        # The same set per adapter and for the variant as a whole; then those of instances' state and logs.
        custom_metrics=METRICS_PER_ADAPTER * (measured + 1) + METRICS_OF_STATE + METRICS_OF_LOGS,
        alarms=alarms,
        dashboards=int(config.observability.dashboard),
        nat_gateways=nat_gateways,
        interface_endpoints=ENDPOINT_ZONES * (creates_vpc and config.network.mode == "private"),
        public_addresses=nat_gateways,
    )


def monthly_cost(stage: LoadedStage, *, alarms: int = 0) -> Estimate | None:
    """Estimate the monthly cost; None if the table has no price for the instance type."""
    return estimate(billed_usage(stage, alarms=alarms))


def has_mounted_model(config: StageConfig) -> bool:
    """Check that SageMaker mounts the base model from the bucket."""
    return config.base_model.mirror or config.base_model.path is not None


def inference_ami(config: StageConfig) -> str | None:
    """Return the AMI whose driver the engine's CUDA needs; None if the instance type's default does."""
    if config.endpoint.inference_ami_version is not None:
        return config.endpoint.inference_ami_version
    return choose_ami(MEMORY[config.engine.name].cuda, INSTANCE_TYPES[config.endpoint.instance_type])


def environment(config: StageConfig) -> dict[str, str]:
    """Make the container's environment, without the values that only the stacks have."""
    engine = config.engine.model_copy(update={"max_cpu_adapters": planned_cpu_adapters(config)})
    return container_environment(engine, config.gateway, config.base_model, offline=has_mounted_model(config))


def cost_line(stage: LoadedStage, *, alarms: int) -> str:
    """Make a line with the monthly cost, or with the reason why it is not known."""
    config, cost = stage.config, monthly_cost(stage, alarms=alarms)
    if cost is None:
        return f"stacks/sizing/prices.yaml has no price of {config.endpoint.instance_type} in {config.region}"
    return cost.one_line()


def quota_line(config: StageConfig) -> str:
    """Make a line with the quota that an update of the largest fleet needs."""
    plan, most = rollout_plan(config), most_instances(config)
    return (
        f"an update ({plan.strategy.replace('_', ' ')}) of {most} × {config.endpoint.instance_type} needs a "
        f"quota of {plan.quota(most)}"
    )


def scaling_line(stage: LoadedStage) -> str:
    """Make a line with the target of autoscaling and its basis."""
    if not stage.config.autoscaling.enabled:
        return "does not scale"
    return scaling_target(stage.config, stage.local_model).basis
