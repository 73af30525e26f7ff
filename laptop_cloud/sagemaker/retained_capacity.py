"""Instance count and weight that an update retains, or that are set without a new configuration."""

from __future__ import annotations

from laptop_cloud.api.service import Params, invalid
from laptop_cloud.sagemaker.fleet import Fleet


def retained_config(update: Params, old: Params, new: Params) -> Params:
    """Return the configuration `new`, with `old`'s data capture if the request retains that."""
    if "DataCaptureConfig" not in _retained(update) or "DataCaptureConfig" not in old:
        return new
    return {**new, "DataCaptureConfig": old["DataCaptureConfig"]}


def retain_capacity(update: Params, old: Fleet, new: Fleet) -> None:
    """Set the count and weight of `old` on `new` if the request retains them and the variant is the same."""
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
    if not update.get("RetainAllVariantProperties"):
        return set()
    excluded = {each["VariantPropertyType"] for each in update.get("ExcludeRetainedVariantProperties", [])}
    return {"DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"} - excluded
