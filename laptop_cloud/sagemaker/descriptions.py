"""The response of DescribeEndpoint."""

from __future__ import annotations

from laptop_cloud.api.service import Params
from laptop_cloud.sagemaker.endpoint import Endpoint
from laptop_cloud.sagemaker.fleet import Fleet


def described(endpoint: Endpoint) -> Params:
    """Return the response of DescribeEndpoint."""
    description: Params = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config["EndpointConfigName"],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "ProductionVariants": [_variant(endpoint.fleet)],
    }
    if endpoint.failure:
        description["FailureReason"] = endpoint.failure
    if endpoint.pending is not None:
        description["PendingDeploymentSummary"] = {
            "EndpointConfigName": endpoint.pending.config["EndpointConfigName"],
            "ProductionVariants": [_variant(endpoint.pending)],
            "StartTime": endpoint.modified,
        }
    if endpoint.deployment:
        description["LastDeploymentConfig"] = endpoint.deployment
    if "DataCaptureConfig" in endpoint.config:
        description["DataCaptureConfig"] = _capture(endpoint.config["DataCaptureConfig"])
    return description


def _variant(fleet: Fleet) -> Params:
    """Return a fleet's variant. Before its image is resolved, it has none deployed."""
    image = fleet.image
    variant: Params = {
        "VariantName": fleet.name,
        "DeployedImages": [
            {
                "SpecifiedImage": image.specified,
                "ResolvedImage": image.resolved,
                "ResolutionTime": image.at,
            }
        ]
        if image is not None
        else [],
        "CurrentWeight": fleet.weight,
        "DesiredWeight": fleet.weight,
        "CurrentInstanceCount": len(fleet.healthy),
        "DesiredInstanceCount": fleet.count,
    }
    if fleet.stage is not None:
        variant["VariantStatus"] = [{"Status": fleet.stage, "StartTime": fleet.stage_since}]
    return variant


def _capture(config: Params) -> Params:
    """Return the capture status: the configuration is stored, nothing is captured."""
    return {
        "EnableCapture": bool(config.get("EnableCapture")),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
