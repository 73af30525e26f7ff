"""The endpoint: execution role, model, endpoint config, endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from adapters.affinity import ADAPTER_AFFINE, PREFIX_BYTES
from adapters.store.layout import CAPTURED_PREFIX
from stacks.config.rollout_plan import RolloutPlan
from stacks.endpoint_arns import endpoint_arns
from stacks.serving.deployment_config import deployment_config
from stacks.serving.execution_role import ExecutionRole
from stacks.serving.image import container_image
from stacks.serving.references import StoreReferences, VpcPlacement

VARIANT = "AllTraffic"
#: CreateEndpointConfig's limit of ConcurrencyThreshold.
_MAX_THRESHOLD = 1024
_Config = sagemaker.CfnEndpointConfig
#: SageMaker's capture modes by the stage's `endpoint.data_capture.record`.
_CAPTURE_MODES = {"input": ["Input"], "output": ["Output"], "input_and_output": ["Input", "Output"]}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The instances of the endpoint, as CreateEndpointConfig takes them."""

    instance_type: str
    """Such as `ml.g5.2xlarge`."""
    instance_count: int
    """Instances at the start, and as long as autoscaling does not change the count."""
    autoscaled: bool
    """Autoscaling sets the count: an update keeps it."""
    volume_key: str | None
    """Id or ARN of the KMS key of the EBS volume; None for SageMaker's own."""
    startup_health_check_seconds: int
    """Longest time until `/ping` first answers 200."""
    model_download_seconds: int
    """Longest time to download a mounted model."""
    inference_ami_version: str | None
    """AMI with the driver that the engine's CUDA needs; None for the instance type's default."""
    routing: str
    """`least_outstanding_requests`, `random` or `adapter_affine`."""
    full_at: int
    """Requests at which an instance is full: with `adapter_affine`, further ones go to others."""

    def property(self, model_name: str) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        """The property of the endpoint config."""
        return _Config.ProductionVariantProperty(
            variant_name=VARIANT,
            model_name=model_name,
            instance_type=self.instance_type,
            initial_instance_count=self.instance_count,
            initial_variant_weight=1.0,
            container_startup_health_check_timeout_in_seconds=self.startup_health_check_seconds,
            model_data_download_timeout_in_seconds=self.model_download_seconds,
            inference_ami_version=self.inference_ami_version,
            routing_config=self._routing_config(),
        )

    def _routing_config(self) -> sagemaker.CfnEndpointConfig.RoutingConfigProperty:
        if self.routing != ADAPTER_AFFINE:
            return _Config.RoutingConfigProperty(routing_strategy=self.routing.upper())
        return _Config.RoutingConfigProperty(
            routing_strategy="PREFIX_AWARE",
            prefix_aware_routing_config=_Config.PrefixAwareRoutingConfigProperty(
                prefix_length=PREFIX_BYTES,
                # An instance that has as many requests as its engine runs at once would queue the next one.
                concurrency_threshold=min(self.full_at, _MAX_THRESHOLD),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """Metrics that SageMaker publishes for the instances."""

    enhanced: bool
    """Utilization per instance and GPU in addition to the variant's."""
    detailed: bool
    """Detailed observability, charged by the GB."""
    publish_seconds: int
    """Interval between two values of utilization."""

    def property(self) -> sagemaker.CfnEndpointConfig.MetricsConfigProperty:
        """The property of the endpoint config."""
        return _Config.MetricsConfigProperty(
            enable_enhanced_metrics=self.enhanced,
            # On by default since June 2026, and charged by the GB.
            enable_detailed_observability=self.detailed,
            metric_publish_frequency_in_seconds=self.publish_seconds,
        )


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """The container of the model."""

    image: str
    """`asset` to build container/<engine>/Dockerfile, or the URI of an image."""
    engine: str
    """`lorax` or `vllm`."""
    environment: Mapping[str, str]
    """Environment variables without those that only the stack knows (bucket, endpoint, variant)."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Data capture: requests and answers stored in the adapter store's bucket."""

    percent: int
    """Share of captured requests, 1 to 100."""
    record: str
    """`input`, `output` or `input_and_output`."""


@dataclass(frozen=True, kw_only=True)
class UpdatePolicy:
    """Updates of the endpoint."""

    plan: RolloutPlan
    """Strategy, steps and time limits."""
    alarms: Sequence[str]
    """Names of existing alarms that roll back the update; none: no automatic rollback."""


class ServingStack(cdk.Stack):
    """One SageMaker endpoint that serves the base model and every adapter of the store.

    Model and endpoint config are immutable in SageMaker and have generated names: each change creates a new
    one, and the endpoint is updated to it in place.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        store: StoreReferences,
        container: ContainerSpec,
        variant: Variant,
        metrics: MetricsOptions,
        capture: Capture | None,
        update_policy: UpdatePolicy,
        network: VpcPlacement | None,
        env: cdk.Environment,
    ) -> None:
        """Without `network` the instances are in SageMaker's own network."""
        super().__init__(scope, construct_id, env=env, description="Multi-LoRA SageMaker endpoint")
        image = container_image(self, image=container.image, engine=container.engine)
        role = ExecutionRole(
            self,
            "ExecutionRole",
            endpoint_name=self.stack_name,
            store=store,
            captures=capture is not None,
            watches_alarms=bool(update_policy.alarms),
            detailed_metrics=metrics.detailed,
            network=network,
        )
        image.grant_pull(role)
        self.image_asset = image.asset_hash
        """Hash of the image asset; None for a given image."""
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image.uri,
                environment={
                    **container.environment,
                    "ADAPTER_BUCKET": store.bucket.bucket_name,
                    # For the container's metrics. The model is created before the endpoint, which therefore
                    # has this fixed name.
                    "ENDPOINT_NAME": self.stack_name,
                    "VARIANT_NAME": VARIANT,
                    # SageMaker does not promise them to a hosting container, and boto3 reads only the second.
                    # Without a region S3 requests go to the global endpoint, which a gateway endpoint of
                    # another region than us-east-1 does not carry.
                    "AWS_REGION": self.region,
                    "AWS_DEFAULT_REGION": self.region,
                },
                model_data_source=_mounted_model(store),
            ),
            vpc_config=None if network is None else _vpc_config(network),
        )
        # The model refers only to the role. Without this SageMaker may pull image and model before the role's
        # policy is created, and the policy may be deleted before the endpoint.
        model.node.add_dependency(role)
        config = _Config(
            self,
            "EndpointConfig",
            production_variants=[variant.property(model.attr_model_name)],
            kms_key_id=variant.volume_key,
            metrics_config=metrics.property(),
            data_capture_config=None if capture is None else _data_capture(store.bucket, capture),
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.stack_name,
            endpoint_config_name=config.attr_endpoint_config_name,
            # Otherwise each deployment resets the count that autoscaling chose. The count of a fleet without
            # autoscaling follows the template. DataCaptureConfig cannot be excluded: the API documents it as
            # "not currently supported".
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=None
            if variant.autoscaled
            else [
                sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type="DesiredInstanceCount")
            ],
            deployment_config=deployment_config(update_policy.plan, update_policy.alarms),
        )
        self._outputs()
        if variant.routing == ADAPTER_AFFINE:
            cdk.CfnOutput(
                self,
                "Routing",
                value=variant.routing,
                description="Callers send PrefixAwareId, and the adapter first in the body",
            )

    def _outputs(self) -> None:
        """Output the endpoint's name, and a policy for the roles of its callers."""
        callers = iam.CfnManagedPolicy(
            self,
            "Callers",
            description=f"Invoke {self.stack_name}, and nothing else",
            policy_document=iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(
                        sid="Invoke",
                        actions=["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"],
                        # By name: the endpoint can then be deleted while a role still has this policy.
                        resources=endpoint_arns(self, self.stack_name),
                    ),
                    iam.PolicyStatement(
                        sid="OpenAiClients",  # allows to create their tokens, not to invoke
                        actions=["sagemaker:CallWithBearerToken"],
                        resources=["*"],
                    ),
                ]
            ),
        )
        cdk.CfnOutput(self, "EndpointName", value=self.endpoint.attr_endpoint_name)
        cdk.CfnOutput(
            self, "CallerPolicy", value=callers.ref, description="For the roles of applications that call it"
        )


def _mounted_model(store: StoreReferences) -> sagemaker.CfnModel.ModelDataSourceProperty | None:
    """The prefix that SageMaker downloads to /opt/ml/model before the container starts, if any."""
    if store.model_prefix is None:
        return None
    return sagemaker.CfnModel.ModelDataSourceProperty(
        s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
            s3_uri=store.bucket.s3_url_for_object(store.model_prefix),
            s3_data_type="S3Prefix",
            compression_type="None",
        )
    )


def _vpc_config(network: VpcPlacement) -> sagemaker.CfnModel.VpcConfigProperty:
    return sagemaker.CfnModel.VpcConfigProperty(
        subnets=list(network.subnet_ids), security_group_ids=list(network.security_group_ids)
    )


def _data_capture(
    bucket: s3.IBucket, capture: Capture
) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty:
    return _Config.DataCaptureConfigProperty(
        enable_capture=True,
        initial_sampling_percentage=capture.percent,
        destination_s3_uri=bucket.s3_url_for_object(CAPTURED_PREFIX),
        capture_options=[
            _Config.CaptureOptionProperty(capture_mode=mode) for mode in _CAPTURE_MODES[capture.record]
        ],
        capture_content_type_header=_Config.CaptureContentTypeHeaderProperty(
            json_content_types=["application/json"]
        ),
    )
