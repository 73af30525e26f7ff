"""The endpoint: execution role, model, endpoint config, endpoint, autoscaling."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from adapters.store import ADAPTERS_PREFIX, REGISTRY_PREFIX
from stacks.image import container_image

VARIANT = "AllTraffic"


class Serving(cdk.Stack):
    """One SageMaker endpoint that serves the base model and every adapter of the store.

    Model and endpoint config are immutable in SageMaker and have no fixed names: each change makes a
    new one, and the endpoint is updated to it in place.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket,
        key: kms.IKey,
        model_prefix: str | None,
        image: str,
        engine: str,
        environment: Mapping[str, str],
        instance_type: str,
        instance_count: int,
        startup_health_check_seconds: int,
        model_download_seconds: int,
        inference_ami_version: str | None,
        min_instances: int,
        max_instances: int,
        target_concurrent_requests: float,
        scale_out_cooldown: cdk.Duration,
        scale_in_cooldown: cdk.Duration,
        env: cdk.Environment,
    ) -> None:
        """`environment` is the container's; `model_prefix` is where a mounted base model lies."""
        super().__init__(scope, construct_id, env=env, description="Multi-LoRA SageMaker endpoint")
        container = container_image(self, image=image, engine=engine)
        role = self._execution_role(bucket, key, model_prefix)
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
        )
        # The model names only the role: without this, SageMaker may start to pull image and model
        # before the role's policy exists, and may lose it before the endpoint is gone.
        model.node.add_dependency(role)
        config = sagemaker.CfnEndpointConfig(
            self,
            "EndpointConfig",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.attr_model_name,
                    instance_type=instance_type,
                    initial_instance_count=instance_count,
                    initial_variant_weight=1.0,
                    container_startup_health_check_timeout_in_seconds=startup_health_check_seconds,
                    model_data_download_timeout_in_seconds=model_download_seconds,
                    inference_ami_version=inference_ami_version,
                )
            ],
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.stack_name,
            endpoint_config_name=config.attr_endpoint_config_name,
            # Otherwise each deployment sets the count that autoscaling chose back to the initial one.
            retain_all_variant_properties=True,
        )
        target = appscaling.ScalableTarget(
            self,
            "ScalableTarget",
            service_namespace=appscaling.ServiceNamespace.SAGEMAKER,
            resource_id=f"endpoint/{self.endpoint.attr_endpoint_name}/variant/{VARIANT}",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            min_capacity=min_instances,
            max_capacity=max_instances,
        )
        target.scale_to_track_metric(
            "ConcurrentRequests",
            predefined_metric=(
                appscaling.PredefinedMetric.SAGEMAKER_VARIANT_CONCURRENT_REQUESTS_PER_MODEL_HIGH_RESOLUTION
            ),
            target_value=target_concurrent_requests,
            scale_out_cooldown=scale_out_cooldown,
            scale_in_cooldown=scale_in_cooldown,
        )
        cdk.CfnOutput(self, "EndpointName", value=self.endpoint.attr_endpoint_name)

    def _execution_role(self, bucket: s3.IBucket, key: kms.IKey, model_prefix: str | None) -> iam.Role:
        """What container and platform need, and nothing else.

        The container runs code of a third party and reads what callers name, so this role is what
        confines it to the store.
        """
        readable = [f"{ADAPTERS_PREFIX}*", f"{REGISTRY_PREFIX}*"]
        if model_prefix is not None:
            readable.append(f"{model_prefix}*")
        role = iam.Role(
            self,
            "ExecutionRole",
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            ),
        )
        statements = [
            iam.PolicyStatement(
                sid="ReadStore",
                actions=["s3:GetObject"],
                resources=[bucket.arn_for_objects(pattern) for pattern in readable],
            ),
            iam.PolicyStatement(
                sid="ListStore",
                actions=["s3:ListBucket"],
                resources=[bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": readable}},
            ),
            iam.PolicyStatement(sid="Decrypt", actions=["kms:Decrypt"], resources=[key.key_arn]),
            iam.PolicyStatement(
                sid="WriteLogs",
                actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[
                    self.format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name="/aws/sagemaker/Endpoints/*",
                        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                    )
                ],
            ),
        ]
        for statement in statements:
            role.add_to_policy(statement)
        return role


def _mounted(bucket: s3.IBucket, prefix: str) -> sagemaker.CfnModel.ModelDataSourceProperty:
    """SageMaker downloads this prefix to /opt/ml/model before the container starts."""
    return sagemaker.CfnModel.ModelDataSourceProperty(
        s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
            s3_uri=bucket.s3_url_for_object(prefix), s3_data_type="S3Prefix", compression_type="None"
        )
    )
