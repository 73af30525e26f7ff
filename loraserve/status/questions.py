"""The parts of a stage's state, each from a request or two to AWS; nothing is changed or waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.store.layout import REGISTRY_PREFIX
from adapters.store.s3 import listing
from container.gateway.telemetry import names
from loraserve.adapters.open_store import deployed_bucket
from loraserve.release.ledger import open_ledger
from loraserve.review.costs import OUTPUT
from loraserve.stage_access import StageAccess
from loraserve.status.stage_status import (
    AdapterCounts,
    AlarmStates,
    EndpointState,
    HourlyCost,
    ReleaseState,
    RequestCounts,
)
from loraserve.verify.endpoint import endpoint_config, live_endpoint
from stacks.config.loading import LOCAL_STAGE
from stacks.sizing.cost_estimate import load_prices

#: Time in which an instance emits its state at least once, by default each minute, and CloudWatch has it.
_RECENT = timedelta(minutes=10)
_HOUR = timedelta(hours=1)
#: The metric of each place that an adapter is in.
_RESIDENT = {
    "in_slots": names.ADAPTERS_IN_SLOTS,
    "in_memory": names.ADAPTERS_IN_MEMORY,
    "on_disk": names.ADAPTER_CACHE_ADAPTERS,
}
_SCALED = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}


def endpoint(access: StageAccess) -> EndpointState | None:
    """Describe the endpoint; None if it does not exist."""
    sagemaker, name = access.client("sagemaker"), access.target.endpoint_name
    live = live_endpoint(sagemaker, name)
    if live is None:
        return None
    [variant] = live.get("ProductionVariants") or [{}]  # one that could not be created has none
    config = endpoint_config(sagemaker, live["EndpointConfigName"])
    return EndpointState(
        name=name,
        variant=variant.get("VariantName"),
        status=live["EndpointStatus"],
        config=live["EndpointConfigName"],
        changed=live["LastModifiedTime"],
        failure=live.get("FailureReason", ""),
        instances=variant.get("CurrentInstanceCount", 0),
        wanted_instances=variant.get("DesiredInstanceCount", 0),
        instance_type=None if config is None else config["ProductionVariants"][0].get("InstanceType"),
        limits=_limits(access, variant.get("VariantName")),
    )


def _limits(access: StageAccess, variant: str | None) -> tuple[int, int] | None:
    resource = f"endpoint/{access.target.endpoint_name}/variant/{variant}"
    scaling = access.client("application-autoscaling")
    found = scaling.describe_scalable_targets(ResourceIds=[resource], **_SCALED)["ScalableTargets"]
    return (found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None


def adapters(access: StageAccess, variant: str | None) -> AdapterCounts:
    """Count the published adapters, and those on an instance; raises `NotDeployed` without a store.

    `variant` is the endpoint's; None if there is none.
    """
    bucket = deployed_bucket(access.client("cloudformation"), access.target)
    published = sum(1 for _ in listing(access.client("s3"), bucket, REGISTRY_PREFIX))
    found = {} if variant is None else _metrics(access, variant, _RESIDENT, "Average", _RECENT)
    latest = {part: found[part][-1] if found.get(part) else None for part in _RESIDENT}
    return AdapterCounts(published=published, **latest)


def requests(access: StageAccess, variant: str | None) -> RequestCounts | None:
    """Count the requests of the last hour; None without a variant."""
    if variant is None:
        return None
    wanted = {"requests": names.REQUESTS, "errors": names.ERRORS}
    found = _metrics(access, variant, wanted, "Sum", _HOUR)
    return RequestCounts(requests=int(sum(found["requests"])), errors=int(sum(found["errors"])))


def _metrics(
    access: StageAccess, variant: str, wanted: dict[str, str], statistic: str, since: timedelta
) -> dict[str, list[float]]:
    """Return the values of metrics of a variant, each of a minute, the oldest first."""
    own = {names.ENDPOINT: access.target.endpoint_name, names.VARIANT: variant}
    dimensions = [{"Name": name, "Value": value} for name, value in own.items()]
    queries = [
        {
            "Id": part,
            "MetricStat": {
                "Metric": {"Namespace": names.NAMESPACE, "MetricName": metric, "Dimensions": dimensions},
                "Period": 60,
                "Stat": statistic,
            },
        }
        for part, metric in wanted.items()
    ]
    now = datetime.now(UTC)
    answer = access.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=now - since, EndTime=now
    )
    return {
        each["Id"]: [value for _, value in sorted(zip(each["Timestamps"], each["Values"], strict=True))]
        for each in answer["MetricDataResults"]
    }


def alarms(access: StageAccess) -> AlarmStates:
    """Look at the alarms, whose names begin with the endpoint's."""
    pages = access.client("cloudwatch").get_paginator("describe_alarms")
    prefix = f"{access.target.endpoint_name}-"
    states = {
        alarm["AlarmName"]: alarm["StateValue"]
        for page in pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        for alarm in (*page.get("MetricAlarms", []), *page.get("CompositeAlarms", []))
    }

    def named(state: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, found in states.items() if found == state))

    return AlarmStates(total=len(states), raised=named("ALARM"), silent=named("INSUFFICIENT_DATA"))


def release(access: StageAccess) -> ReleaseState | None:
    """Read the record of what serves, hold and lock; None before the first deployment."""
    ledger = open_ledger(access.target, access.client)
    if ledger is None:
        return None
    record, hold, lock = ledger.current(), ledger.hold(), ledger.locked_by()
    return ReleaseState(
        release=None if record is None else record.release,
        kind=None if record is None else record.kind.value,
        outcome=None if record is None else record.outcome.value,
        ended=None if record is None else record.ended,
        hold=None if hold is None else f"{hold.reason} (by {hold.by})",
        lock=None if lock is None or lock.is_expired else lock.holder.description,
    )


def cost(access: StageAccess, found: EndpointState, stacks: list[dict[str, Any]]) -> HourlyCost:
    """Multiply the instances by their price, and quote the estimate in the serving stack's output."""
    prices = load_prices()
    price = None
    if found.instance_type is not None:
        price = prices.instance_hour(access.target.region, found.instance_type)
    outputs = (output for stack in stacks for output in stack.get("Outputs", []))
    monthly = next((each["OutputValue"] for each in outputs if each["OutputKey"] == OUTPUT), "")
    usd = None if price is None else price * found.instances
    billed = access.target.name != LOCAL_STAGE
    return HourlyCost(usd=usd, billed=billed, prices=prices.date, monthly=monthly)
