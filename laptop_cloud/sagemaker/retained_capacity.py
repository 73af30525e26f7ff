"""Instance count and weight that an update retains, or that are set without a new configuration."""

from __future__ import annotations

from laptop_cloud.api.service import Params, invalid
from laptop_cloud.sagemaker.fleet import Fleet


def retain_capacity(update: Params, old: Fleet, new: Fleet) -> None:
    """Set the count and weight of `old` on `new` if the request retains them and the variant is the same.

    Data capture follows the new configuration. Raises `ServiceError` for a request that excludes it: the API
    reference says of this `VariantPropertyType` "Not currently supported".
    """
    retained = _retained(update) if old.name == new.name else set()
    if "DesiredInstanceCount" in retained:
        new.count = old.count
    if "DesiredWeight" in retained:
        new.weight = old.weight


def wanted_capacity(scaling: Params, fleet: Fleet) -> tuple[int, float]:
    """Return the count and the weight after an UpdateEndpointWeightsAndCapacities request.

    Raises `ServiceError` for a variant that `fleet` lacks, and for one without instances.
    """
    count, weight = fleet.count, fleet.weight
    for wanted in scaling["DesiredWeightsAndCapacities"]:
        variant = wanted["VariantName"]
        if variant != fleet.name:
            raise invalid(f"The endpoint has no variant {variant}: it has {fleet.name}")
        if "ServerlessUpdateConfig" in wanted:
            raise invalid(f"variant {variant} runs on instances: give no ServerlessUpdateConfig")
        count = wanted.get("DesiredInstanceCount", count)
        if count < 1:
            raise invalid(f"DesiredInstanceCount of variant {variant} must be at least 1")
        weight = wanted.get("DesiredWeight", weight)
    return count, weight


def _retained(update: Params) -> set[str]:
    """Return the kinds of variant properties that an UpdateEndpoint request retains."""
    excluded = {each["VariantPropertyType"] for each in update.get("ExcludeRetainedVariantProperties", [])}
    if "DataCaptureConfig" in excluded:
        raise invalid("DataCaptureConfig in ExcludeRetainedVariantProperties is not currently supported")
    return (
        {"DesiredInstanceCount", "DesiredWeight"} - excluded
        if update.get("RetainAllVariantProperties")
        else set()
    )
