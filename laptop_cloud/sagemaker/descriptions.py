"""What DescribeEndpoint says of an endpoint."""

from __future__ import annotations

from laptop_cloud.api.service import Params
from laptop_cloud.sagemaker.endpoint import Endpoint, primary_container
from laptop_cloud.sagemaker.fleet import Fleet


def described(endpoint: Endpoint) -> Params:
    """The answer of DescribeEndpoint."""
    description: Params = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config["EndpointConfigName"],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "ProductionVariants": _variants(endpoint.fleet, endpoint.modified),
    }
    if endpoint.failure:
        description["FailureReason"] = endpoint.failure
    if endpoint.coming is not None:
        description["PendingDeploymentSummary"] = {
            "EndpointConfigName": endpoint.coming.config["EndpointConfigName"],
            "ProductionVariants": _variants(endpoint.coming, endpoint.modified),
            "StartTime": endpoint.modified,
        }
    if endpoint.deployment:
        description["LastDeploymentConfig"] = endpoint.deployment
    if "DataCaptureConfig" in endpoint.config:
        description["DataCaptureConfig"] = _capture(endpoint.config["DataCaptureConfig"])
    return description


def _variants(fleet: Fleet, since: float) -> list[Params]:
    """The variants of a fleet; it started its images at `since`."""
    return [_variant(fleet, name, since) for name in fleet.variants]


def _variant(fleet: Fleet, name: str, since: float) -> Params:
    image = str(primary_container(fleet.models[fleet.variants[name]["ModelName"]])["Image"])
    deployed = {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": since}
    variant: Params = {
        "VariantName": name,
        "DeployedImages": [deployed],
        "CurrentWeight": fleet.weights[name],
        "DesiredWeight": fleet.weights[name],
        "CurrentInstanceCount": len(fleet.able(name)),
        "DesiredInstanceCount": fleet.counts[name],
    }
    if fleet.stage is not None:
        variant["VariantStatus"] = [{"Status": fleet.stage, "StartTime": fleet.stage_since}]
    return variant


def _capture(config: Params) -> Params:
    """The laptop cloud keeps a capture configuration and captures nothing, and says so."""
    return {
        "EnableCapture": bool(config.get("EnableCapture")),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
