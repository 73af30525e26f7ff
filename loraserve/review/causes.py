"""Causes of a new fleet: the parts of model and endpoint config that differ, in words of the stage file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison, equal
from loraserve.review.difference import Difference, Json
from loraserve.review.endpoint_update import EndpointUpdate, endpoint_of, variant_of
from loraserve.review.values import Leaf, resource_of
from stacks.config.container_environment import KEYS

ENVIRONMENT = "PrimaryContainer.Environment."
IMAGE = "PrimaryContainer.Image"
MODEL_FILES = "PrimaryContainer.ModelDataSource.S3DataSource.S3Uri"
_VARIANT = "ProductionVariants."
INSTANCE_TYPE, INSTANCE_COUNT = f"{_VARIANT}InstanceType", f"{_VARIANT}InitialInstanceCount"
STARTUP, DOWNLOAD = (
    f"{_VARIANT}ContainerStartupHealthCheckTimeoutInSeconds",
    f"{_VARIANT}ModelDataDownloadTimeoutInSeconds",
)

#: Keys of the stage file by the path in the properties of model and endpoint config. A path that is not here
#: is unknown.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "ExecutionRoleArn": "the execution role",
        "EnableNetworkIsolation": "network isolation",
        IMAGE: "image",
        "PrimaryContainer.ModelDataSource.S3DataSource.CompressionType": "base_model.mirror",
        "PrimaryContainer.ModelDataSource.S3DataSource.S3DataType": "base_model.mirror",
        MODEL_FILES: "base_model (its files in the bucket)",
        "VpcConfig.SecurityGroupIds": "network.security_group_ids",
        "VpcConfig.Subnets": "network.subnet_ids",
        **{f"{ENVIRONMENT}{variable}": key for variable, key in KEYS.items()},
        f"{ENVIRONMENT}HF_HUB_OFFLINE": "base_model.mirror",
        INSTANCE_TYPE: "endpoint.instance_type",
        INSTANCE_COUNT: "endpoint.instance_count",
        STARTUP: "endpoint.startup_health_check_seconds",
        DOWNLOAD: "endpoint.model_download_seconds",
        f"{_VARIANT}InferenceAmiVersion": "endpoint.inference_ami_version (GPU driver)",
        f"{_VARIANT}RoutingConfig.RoutingStrategy": "endpoint.routing",
        f"{_VARIANT}RoutingConfig.PrefixAwareRoutingConfig": "endpoint.routing",
        f"{_VARIANT}RoutingConfig.PrefixAwareRoutingConfig.PrefixLength": "endpoint.routing",
        f"{_VARIANT}RoutingConfig.PrefixAwareRoutingConfig.ConcurrencyThreshold": (
            "engine.max_concurrent_requests"
        ),
        "KmsKeyId": "endpoint.volume_key",
        "MetricsConfig.EnableEnhancedMetrics": "endpoint.enhanced_metrics",
        "MetricsConfig.EnableDetailedObservability": "endpoint.detailed_observability",
        "MetricsConfig.MetricPublishFrequencyInSeconds": "endpoint.metrics_publish_seconds",
        "DataCaptureConfig": "endpoint.data_capture",
        "DataCaptureConfig.EnableCapture": "endpoint.data_capture.percent",
        "DataCaptureConfig.InitialSamplingPercentage": "endpoint.data_capture.percent",
        "DataCaptureConfig.CaptureOptions": "endpoint.data_capture.record",
        "DataCaptureConfig.CaptureOptions.CaptureMode": "endpoint.data_capture.record",
        "DataCaptureConfig.DestinationS3Uri": "the prefix of captured requests",
        "DataCaptureConfig.CaptureContentTypeHeader.JsonContentTypes": "the captured content types",
    }
)

#: Words for variables that the stack makes.
_FOLLOWING: Mapping[str, str] = MappingProxyType(
    {
        "ADAPTER_BUCKET": "the adapter bucket",
        "ENDPOINT_NAME": "the endpoint's name",
        "VARIANT_NAME": "the variant's name",
        "AWS_REGION": "region",
        "AWS_DEFAULT_REGION": "region",
    }
)

#: Facts of a stage by the path whose value they repeat.
_FACTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        IMAGE: ("image", "engine"),
        f"{ENVIRONMENT}HF_MODEL_ID": ("model.name",),
        f"{ENVIRONMENT}HF_MODEL_REVISION": ("model.revision",),
        f"{ENVIRONMENT}HF_HUB_OFFLINE": ("model.source",),
        MODEL_FILES: ("model.source",),
        f"{ENVIRONMENT}MAX_INPUT_LENGTH": ("limits.max_input_tokens",),
        f"{ENVIRONMENT}MAX_TOTAL_TOKENS": ("limits.max_total_tokens",),
        f"{ENVIRONMENT}MAX_NEW_TOKENS": ("limits.max_new_tokens",),
        f"{ENVIRONMENT}MAX_ADAPTER_RANK": ("limits.max_adapter_rank",),
    }
)


def cause(leaf: Leaf) -> str:
    """Return the words for a differing value: a key of the stage file, else its path in the template."""
    return WORDS.get(leaf.path) or _FOLLOWING.get(leaf.path.removeprefix(ENVIRONMENT), leaf.path)


def causes(change: StageComparison, update: EndpointUpdate) -> list[str]:
    """Return the causes of a new config, each once, and what only follows from another change last."""
    followers = [leaf for leaf in update.leaves if is_following(change, leaf)]
    leaders = [leaf for leaf in update.leaves if leaf not in followers]
    found = list(dict.fromkeys(cause(leaf) for leaf in (*leaders, *followers)))
    return found or ["a replaced resource that model or config refer to"]


def unknown_leaves(change: StageComparison, update: EndpointUpdate) -> list[Leaf]:
    """Return the differing values that no rule knows."""
    return [leaf for leaf in update.leaves if leaf.path not in WORDS and not is_following(change, leaf)]


def facts_of(change: StageComparison, update: EndpointUpdate) -> Iterator[Difference]:
    """Yield the differences of facts that repeat a differing value."""
    for leaf in update.leaves:
        yield from change.facts(*_FACTS.get(leaf.path, ()))


def is_following(change: StageComparison, leaf: Leaf) -> bool:
    """Return whether a variable, which the stack makes, is by both sides' templates what it must be."""
    variable = leaf.path.removeprefix(ENVIRONMENT)
    return all(
        side is not None and _is_of_stack(side, variable, value)
        for side, value in ((change.before, leaf.before), (change.after, leaf.after))
    )


def _is_of_stack(stage: Stage, variable: str, value: Json) -> bool:
    """Compare a variable of `stacks.serving` with the place in the stage that it repeats."""
    serving = stage.stacks.get("Serving")
    if serving is None:
        return False
    match variable:
        case "ADAPTER_BUCKET":
            return resource_of(stage, serving, value).get("Type") == "AWS::S3::Bucket"
        case "ENDPOINT_NAME":
            return equal(value, (endpoint_of(stage) or {}).get("EndpointName"))
        case "VARIANT_NAME":
            return equal(value, variant_of(stage).get("VariantName"))
        case "AWS_REGION" | "AWS_DEFAULT_REGION":
            return value in (serving.region, {"Ref": "AWS::Region"})
    return False
