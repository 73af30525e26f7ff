"""The rules between the sections of a stage file: mistakes that a deployment would reveal.

Each is a sentence with the key and the remedy. `problems` are refused; `warnings` are reported by CDK and can
be acknowledged there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from adapters.affinity import ADAPTER_AFFINE
from adapters.engines.registry import ENGINES
from adapters.source_remedies import HUGGING_FACE
from adapters.strict_json import shown
from stacks.config.container_check import container_problem
from stacks.config.container_environment import environment_problems
from stacks.config.derived import (
    environment,
    fewest_instances,
    has_mounted_model,
    inference_ami,
    most_instances,
    rollout_plan,
)
from stacks.config.engine_parts import missing_part
from stacks.config.hub_endpoint import endpoint_problem, is_loopback
from stacks.config.memory_check import memory_warning
from stacks.config.regions import partition_of
from stacks.config.stage_config import LoadedStage, StageConfig
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.hardware import hardware_problem
from stacks.sizing.instances import INSTANCE_TYPES, check_ami

_ECR = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<domain>[a-z0-9.-]+)/.+")
#: What the laptop cloud's images are named; SageMaker has none of this name.
_LAPTOP = "localhost/"
#: CreateModel's limit of an image's URI.
_MAX_IMAGE = 255
#: Least seconds in which an engine starts, before the gateway loads what other instances were asked for.
START_SECONDS = 30
#: Three bad minutes raise an alarm that rolls an update back, and CloudWatch needs another to see them.
ALARM_SECONDS = 240


def problems(config: StageConfig) -> Iterator[str]:
    """Yield what cannot work, a sentence each."""
    if (missing := missing_part(config.engine.name, built=config.image == "asset")) is not None:
        yield f"engine.name: {missing}"
        return
    # Before the rules below, which assume settings that the engine knows.
    if (refusal := container_problem(config.engine.name, environment(config))) is not None:
        yield refusal
    yield from _tags(config)
    yield from _promotion(config)
    yield from _hub(config)
    yield from _image(config)
    yield from _keys_and_topic(config)
    yield from _instances(config)
    yield from _warm_up(config)
    yield from _scaling(config)
    yield from _network(config)
    if (problem := rollout_plan(config).problem()) is not None:
        yield f"rollout: {problem}"
    yield from environment_problems(environment(config))


def warnings(stage: LoadedStage) -> Iterator[tuple[str, str]]:
    """Yield what is probably a mistake: an id for its acknowledgement, and a sentence."""
    config, endpoint = stage.config, stage.config.endpoint
    if (doubt := memory_warning(config, stage.local_model)) is not None:
        yield "gpu-memory", doubt
    if config.engine.arguments:
        flags = ", ".join(f"{name}: {_shown(value)}" for name, value in config.engine.arguments.items())
        yield (
            "engine-arguments",
            f"engine.arguments: {flags}: passed on to {ENGINES[config.engine.name].title} as they are. The "
            "check of the GPU memory does not count them: try them on a separate stage first",
        )
    if endpoint.volume_key is not None and INSTANCE_TYPES[endpoint.instance_type].local_storage:
        yield (
            "volume-key-on-nvme",
            f"endpoint.volume_key: {endpoint.instance_type} stores on NVMe, which this key does not encrypt "
            "(the hardware does) and which SageMaker has refused a key for: leave it out, unless a policy of "
            "your organization demands one",
        )
    instance = INSTANCE_TYPES[endpoint.instance_type]
    if instance.gpus > config.engine.tensor_parallel:
        yield (
            "idle-gpus",
            f"engine.tensor_parallel: {config.engine.tensor_parallel} leaves "
            f"{instance.gpus - config.engine.tensor_parallel} of the {instance.gpus} GPUs of "
            f"{endpoint.instance_type} idle: raise it, or take a smaller type",
        )
    if config.image != "asset" and "@sha256:" not in config.image and _ECR.fullmatch(config.image):
        yield (
            "image-tag",
            f"image: {config.image} names a tag, which may point to another image when an instance is "
            "added: name a digest (…@sha256:…)",
        )
    plan = rollout_plan(config)
    pause = plan.step_seconds if plan.strategy == "rolling" else plan.bake_seconds
    if config.rollout.rollback_on_alarms and pause < ALARM_SECONDS:
        key = "step_seconds" if plan.strategy == "rolling" else "bake_seconds"
        yield (
            "short-pause",
            f"rollout.{key}: {pause} s are over before an alarm, which three bad minutes raise, can roll an "
            "update back: write 300, or rollback_on_alarms: false",
        )
    if config.store_readers and config.security.key_arn is not None:
        yield (
            "store-readers-key",
            "store_readers: the policy of security.key_arn is not this app's: allow them kms:Decrypt there, "
            "with the condition kms:ViaService = S3",
        )
    if endpoint.routing == ADAPTER_AFFINE and most_instances(config) == 1:
        yield (
            "affinity-of-one",
            "endpoint.routing: adapter_affine has no effect with one instance: raise "
            "autoscaling.max_instances or endpoint.instance_count, or leave it out",
        )
    if endpoint.data_capture.percent:
        yield (
            "data-capture",
            f"endpoint.data_capture: {endpoint.data_capture.percent} % of all prompts and answers are "
            "recorded in the bucket; they are personal data wherever people write them",
        )


def _shown(value: object) -> str:
    """Format a flag's value as a stage file has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _tags(config: StageConfig) -> Iterator[str]:
    if taken := [key for key in config.tags if key.lower().startswith(("aws:", "lora-serving:"))]:
        yield (
            f"tags: {taken[0]!r}: tags that start with aws: or lora-serving: are AWS's and this app's: take "
            "another name"
        )


def _promotion(config: StageConfig) -> Iterator[str]:
    if config.adapters_locked and config.promote_from is None:
        yield "adapters_locked: true: the adapters come from another stage: name it with promote_from"
    partition = partition_of(config.region).name
    for i, reader in enumerate(config.store_readers, 1):
        if reader.startswith("arn:") and reader.split(":")[1] != partition:
            yield (
                f"store_readers[item {i}]: it is in another partition, ARNs of {config.region} begin with "
                f"arn:{partition}:"
            )


def _hub(config: StageConfig) -> Iterator[str]:
    if (problem := endpoint_problem(config.hub_endpoint)) is not None:
        yield problem
        return
    engine = config.engine
    runs_named_code = engine.trust_remote_code and ENGINES[engine.name].reads_named_base
    # Offline, as with a mounted model, it does not.
    if config.base_model.also_known_as and runs_named_code and not has_mounted_model(config):
        yield (
            "base_model.also_known_as: with engine.trust_remote_code, the engine may run code of the "
            "repositories that it names: write base_model.mirror: true"
        )
    is_mirror = config.hub_endpoint != HUGGING_FACE and not is_loopback(config.hub_endpoint)
    if is_mirror and not has_mounted_model(config):
        # The container's environment has no HF_ENDPOINT. A Hub on this machine is for experiments.
        yield (
            "hub_endpoint is for the seeder, and the container would fetch the base model from "
            "huggingface.co: write base_model.mirror: true"
        )


def _image(config: StageConfig) -> Iterator[str]:
    if len(config.image) > _MAX_IMAGE or re.search(r"\s", config.image):
        yield (
            f"image: {shown(config.image)}: SageMaker takes {_MAX_IMAGE} characters without spaces: write "
            "asset, or an image's URI"
        )
    if config.image == "asset" or config.image.startswith(_LAPTOP):
        return
    # CreateModel: "Using non-ECR image … without Vpc repository access mode is not supported."
    ecr, domain = _ECR.fullmatch(config.image), partition_of(config.region).domain
    host = f"<account>.dkr.ecr.{config.region}.{domain}"
    if ecr is None:
        yield (
            f"image: {shown(config.image)}: SageMaker pulls from a private repository of ECR only: push it "
            f"to {host}/…"
        )
    elif ecr["region"] != config.region:
        yield (
            f"image: it is in {ecr['region']}, SageMaker pulls from the endpoint's own region only: push "
            f"it to {config.region}"
        )
    elif ecr["domain"] != domain:
        yield f"image: the repositories of {config.region} are at {host}: write {domain}"


def _keys_and_topic(config: StageConfig) -> Iterator[str]:
    arns = {
        "endpoint.volume_key": config.endpoint.volume_key,
        "security.key_arn": config.security.key_arn,
        "observability.alarm_topic": config.observability.alarm_topic,
    }
    for key, arn in arns.items():
        if arn is not None and arn.split(":")[3] != config.region:
            yield f"{key}: it is in {arn.split(':')[3]}: name one of {config.region}"
    partition = partition_of(config.region).name
    for key, arn in {
        **arns,
        **{f"decrypt_keys[item {i}]": arn for i, arn in enumerate(config.decrypt_keys, 1)},
    }.items():
        if arn is not None and arn.split(":")[1] != partition:
            yield f"{key}: it is in another partition, ARNs of {config.region} begin with arn:{partition}:"
    if config.observability.alarm_topic is not None and config.observability.alarm_emails:
        yield "observability.alarm_emails: they subscribe to the stage's own topic: leave alarm_topic out"


def _instances(config: StageConfig) -> Iterator[str]:
    name = config.endpoint.instance_type
    instance, gpus = INSTANCE_TYPES[name], config.engine.tensor_parallel
    if gpus > instance.gpus:
        yield (
            f"engine.tensor_parallel: {name} has {instance.gpus} of the {gpus} GPUs: write {instance.gpus}, "
            "or take a larger type"
        )
    cuda = MEMORY[config.engine.name].cuda
    if (problem := check_ami(inference_ami(config), cuda, instance)) is not None:
        yield f"endpoint.inference_ami_version: {problem}"
    engine = config.engine
    if (problem := hardware_problem(engine.name, instance, engine.dtype, engine.quantize)) is not None:
        yield f"endpoint.instance_type: {problem}"


def _warm_up(config: StageConfig) -> Iterator[str]:
    limit, seconds = config.endpoint.startup_health_check_seconds, config.gateway.warm_up_seconds
    if seconds > limit - START_SECONDS:
        yield (
            f"gateway.warm_up_seconds: {seconds:g} s may outlast endpoint.startup_health_check_seconds, "
            f"{limit}, of which the engine's start takes {START_SECONDS} at least: write "
            f"{limit - START_SECONDS} or less, or raise that"
        )


def _scaling(config: StageConfig) -> Iterator[str]:
    scaling, count = config.autoscaling, config.endpoint.instance_count
    if scaling.enabled and not scaling.min_instances <= count <= scaling.max_instances:
        yield (
            f"endpoint.instance_count: {count} is outside of autoscaling's limits, "
            f"{scaling.min_instances} to {scaling.max_instances}: write a number within them, or change "
            "autoscaling.min_instances or autoscaling.max_instances"
        )
    if not scaling.enabled and scaling.schedules:
        yield "autoscaling.schedules: they need autoscaling.enabled: true: write that, or leave them out"
    typical, most = (
        scaling.typical_input_tokens + scaling.typical_output_tokens,
        config.engine.max_total_tokens,
    )
    if scaling.enabled and scaling.target is None and typical > most:
        yield (
            f"autoscaling: typical_input_tokens and typical_output_tokens, {scaling.typical_input_tokens} + "
            f"{scaling.typical_output_tokens}, are more than engine.max_total_tokens, "
            f"{config.engine.max_total_tokens}: write fewer, or autoscaling.target"
        )
    expected = config.cost.expected_instances
    if expected is not None and not fewest_instances(config) <= expected <= most_instances(config):
        yield (
            f"cost.expected_instances: {expected:.15g} is outside of what autoscaling allows, "
            f"{fewest_instances(config)} to {most_instances(config)}: write a number within that"
        )


def _network(config: StageConfig) -> Iterator[str]:
    for zone in config.network.availability_zones:
        if zone[:-1] != config.region:
            yield f"network.availability_zones: {zone} is not in {config.region}: name zones of that region"
    if config.network.mode == "private" and not has_mounted_model(config):
        yield (
            "network.mode: private has no way to the Hub: write base_model.mirror: true, so that SageMaker "
            "mounts the model from the bucket"
        )
