"""Instance counts and weights that outlive an endpoint configuration, or are set beside it."""

from __future__ import annotations

from laptop_cloud.api.service import Params, invalid
from laptop_cloud.sagemaker.fleet import Fleet


def retained_config(update: Params, old: Params, new: Params) -> Params:
    """The configuration `new`, with `old`'s data capture if the UpdateEndpoint call retains that."""
    if "DataCaptureConfig" not in _retained(update) or "DataCaptureConfig" not in old:
        return new
    return {**new, "DataCaptureConfig": old["DataCaptureConfig"]}


def retain_sizes(update: Params, old: Fleet, new: Fleet) -> None:
    """Give `new` the counts and weights that its variants have in `old`, so far as the call retains them."""
    retained = _retained(update)
    both = set(old.variants) & set(new.variants)
    if "DesiredInstanceCount" in retained:
        new.counts.update({variant: old.counts[variant] for variant in both})
    if "DesiredWeight" in retained:
        new.weights.update({variant: old.weights[variant] for variant in both})


def wanted_sizes(scaling: Params, fleet: Fleet) -> tuple[dict[str, int], dict[str, float]]:
    """The counts and the weights in a call of UpdateEndpointWeightsAndCapacities, by variant.

    Raises `ServiceError` for a variant that `fleet` lacks, and for one without instances.
    """
    counts: dict[str, int] = {}
    weights: dict[str, float] = {}
    for wanted in scaling["DesiredWeightsAndCapacities"]:
        variant = wanted["VariantName"]
        if variant not in fleet.variants:
            raise invalid(
                f"The endpoint has no variant {variant}: it has {', '.join(sorted(fleet.variants))}"
            )
        if "ServerlessUpdateConfig" in wanted:
            raise invalid(f"variant {variant} runs on instances: give no ServerlessUpdateConfig")
        if "DesiredInstanceCount" in wanted:
            counts[variant] = wanted["DesiredInstanceCount"]
            if counts[variant] < 1:
                raise invalid(f"DesiredInstanceCount of variant {variant} must be at least 1")
        if "DesiredWeight" in wanted:
            weights[variant] = wanted["DesiredWeight"]
    return counts, weights


def _retained(update: Params) -> set[str]:
    """The kinds of variant properties that an UpdateEndpoint call keeps as the endpoint has them."""
    if not update.get("RetainAllVariantProperties"):
        return set()
    excluded = {each["VariantPropertyType"] for each in update.get("ExcludeRetainedVariantProperties", [])}
    return {"DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"} - excluded
