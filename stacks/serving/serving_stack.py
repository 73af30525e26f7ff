"""The endpoint: execution role, model, endpoint config, endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from adapters.store.layout import CAPTURED_PREFIX
from stacks.config.rollout_plan import RolloutPlan
from stacks.endpoint_arns import endpoint_arns
from stacks.serving.deployment_config import deployment_config
from stacks.serving.execution_role import ExecutionRole
from stacks.serving.image import container_image

VARIANT = "AllTraffic"
_Config = sagemaker.CfnEndpointConfig
#: SageMaker's names of what `DataCapture.record` says.
_CAPTURED = {"input": ["Input"], "output": ["Output"], "input_and_output": ["Input", "Output"]}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The instances of the endpoint, as CreateEndpointConfig takes them."""

    instance_type: str
    instance_count: int
    volume_gb: int | None
    startup_health_check_seconds: int
    model_download_seconds: int
    inference_ami_version: str | None
    routing: str

    def property(self, model_name: str) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        """The property of the endpoint config."""
        return _Config.ProductionVariantProperty(
            variant_name=VARIANT,
            model_name=model_name,
            instance_type=self.instance_type,
            initial_instance_count=self.instance_count,
            initial_variant_weight=1.0,
            volume_size_in_gb=self.volume_gb,
            container_startup_health_check_timeout_in_seconds=self.startup_health_check_seconds,
            model_data_download_timeout_in_seconds=self.model_download_seconds,
            inference_ami_version=self.inference_ami_version,
            routing_config=_Config.RoutingConfigProperty(routing_strategy=self.routing.upper()),
        )


@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """What SageMaker tells of the instances."""

    enhanced: bool
    detailed: bool
    publish_seconds: int

    def property(self) -> sagemaker.CfnEndpointConfig.MetricsConfigProperty:
        """The property of the endpoint config."""
        return _Config.MetricsConfigProperty(
            enable_enhanced_metrics=self.enhanced,
            # On by default since June 2026, and charged by the GB.
            enable_detailed_observability=self.detailed,
            metric_publish_frequency_in_seconds=self.publish_seconds,
        )


class Serving(cdk.Stack):
    """One SageMaker endpoint that serves the base model and every adapter of the store.

    Model and endpoint config are immutable in SageMaker and have no fixed names: each change makes a new
    one, and the endpoint is updated to it in place.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket,
        key: kms.IKey | None,
        model_prefix: str | None,
        image: str,
        engine: str,
        environment: Mapping[str, str],
        variant: Variant,
        scaled: bool,
        volume_key: str | None,
        metrics: MetricsOptions,
        capture_percent: int,
        capture_record: str,
        rollout: RolloutPlan,
        rollback_alarms: Sequence[str],
        subnet_ids: Sequence[str],
        security_group_ids: Sequence[str],
        env: cdk.Environment,
    ) -> None:
        """`environment` is the container's; `model_prefix` is where a mounted base model lies.

        `scaled` says that autoscaling chooses the count; `rollback_alarms` are names of alarms that are there
        already; subnets and security groups are those of a VPC, if there is one.
        """
        super().__init__(scope, construct_id, env=env, description="Multi-LoRA SageMaker endpoint")
        container = container_image(self, image=image, engine=engine)
        role = ExecutionRole(
            self,
            "ExecutionRole",
            endpoint_name=self.stack_name,
            bucket=bucket,
            key=key,
            model_prefix=model_prefix,
            captures=capture_percent > 0,
            watches_alarms=bool(rollback_alarms),
            subnet_ids=subnet_ids,
            security_group_ids=security_group_ids,
        )
        container.grant_pull(role)
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=container.uri,
                environment={
                    **environment,
                    "ADAPTER_BUCKET": bucket.bucket_name,
                    # For the container's metrics. The endpoint has this fixed name because the model, which
                    # is made before it, has to know it.
                    "ENDPOINT_NAME": self.stack_name,
                    "VARIANT_NAME": VARIANT,
                },
                model_data_source=None if model_prefix is None else _mounted(bucket, model_prefix),
            ),
            vpc_config=sagemaker.CfnModel.VpcConfigProperty(
                subnets=list(subnet_ids), security_group_ids=list(security_group_ids)
            )
            if subnet_ids
            else None,
        )
        # The model names only the role: without this, SageMaker may start to pull image and model
        # before the role's policy exists, and may lose it before the endpoint is gone.
        model.node.add_dependency(role)
        config = _Config(
            self,
            "EndpointConfig",
            production_variants=[variant.property(model.attr_model_name)],
            kms_key_id=volume_key,
            metrics_config=metrics.property(),
            data_capture_config=_capture(bucket, capture_percent, capture_record),
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.stack_name,
            endpoint_config_name=config.attr_endpoint_config_name,
            # Otherwise each deployment sets the count that autoscaling chose back to the initial one. What
            # the template says of captured requests is meant, though, and of a count that nothing scales.
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=[
                sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type=kind)
                for kind in ("DataCaptureConfig", *(() if scaled else ("DesiredInstanceCount",)))
            ],
            deployment_config=deployment_config(rollout, rollback_alarms),
        )
        self._outputs()

    def _outputs(self) -> None:
        """The endpoint, and what an application's team needs to call it."""
        callers = iam.CfnManagedPolicy(
            self,
            "Callers",
            description=f"Invoke {self.stack_name}, and nothing else",
            policy_document=iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(
                        sid="Invoke",
                        actions=["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"],
                        # By name, so that the endpoint can be deleted while a role still has this policy.
                        resources=endpoint_arns(self, self.stack_name),
                    ),
                    iam.PolicyStatement(
                        sid="OpenAiClients",  # their tokens are made with it; it invokes nothing
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


def _mounted(bucket: s3.IBucket, prefix: str) -> sagemaker.CfnModel.ModelDataSourceProperty:
    """SageMaker downloads this prefix to /opt/ml/model before the container starts."""
    return sagemaker.CfnModel.ModelDataSourceProperty(
        s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
            s3_uri=bucket.s3_url_for_object(prefix), s3_data_type="S3Prefix", compression_type="None"
        )
    )


def _capture(
    bucket: s3.IBucket, percent: int, record: str
) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty | None:
    if percent == 0:
        return None
    return _Config.DataCaptureConfigProperty(
        enable_capture=True,
        initial_sampling_percentage=percent,
        destination_s3_uri=bucket.s3_url_for_object(CAPTURED_PREFIX),
        capture_options=[_Config.CaptureOptionProperty(capture_mode=mode) for mode in _CAPTURED[record]],
        capture_content_type_header=_Config.CaptureContentTypeHeaderProperty(
            json_content_types=["application/json"]
        ),
    )
