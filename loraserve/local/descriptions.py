"""What DescribeEndpoint says of an endpoint."""

from __future__ import annotations

from loraserve.local.endpoints import Endpoint
from loraserve.local.service import Params


def described(endpoint: Endpoint) -> Params:
    """The answer of DescribeEndpoint."""
    description: Params = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config["EndpointConfigName"],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "ProductionVariants": [_variant(endpoint, v) for v in endpoint.variants().values()],
    }
    if endpoint.failure:
        description["FailureReason"] = endpoint.failure
    if endpoint.deployment:
        description["LastDeploymentConfig"] = endpoint.deployment
    if "DataCaptureConfig" in endpoint.config:
        description["DataCaptureConfig"] = _capture(endpoint.config["DataCaptureConfig"])
    return description


def _variant(endpoint: Endpoint, variant: Params) -> Params:
    weight = variant.get("InitialVariantWeight", 1.0)
    image = endpoint.image(variant)
    deployed = {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": endpoint.modified}
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [deployed],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": endpoint.live(variant["VariantName"]),
        "DesiredInstanceCount": variant.get("InitialInstanceCount", 1),
    }


def _capture(config: Params) -> Params:
    """The laptop cloud keeps a capture configuration and captures nothing, and says so."""
    return {
        "EnableCapture": bool(config.get("EnableCapture")),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
