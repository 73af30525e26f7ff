"""The account's quota of the endpoint's instance type, against what the deployment and an update need.

SageMaker counts the instances of all endpoints of a type. Service Quotas has one quota per type and use,
named `ml.g5.xlarge for endpoint usage`, and a new account often has 0 of a GPU type. The quota is found by
its name: codes differ per type and are not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapters.store.s3 import error_code
from loraserve.aws import Client
from loraserve.finding import Finding, ok, problem, unknown
from stacks.config.rollout_plan import quota_of_update
from stacks.config.stage_target import StageTarget
from stacks.facts import FleetFacts, RolloutFacts

#: Endpoints that are described to count their instances; each takes two requests.
_MOST_ENDPOINTS = 100


@dataclass(frozen=True)
class Quota:
    """A quota of the account in a region."""

    code: str
    value: int
    applied: bool
    """False: the service's default value, because the account has no applied value."""


@dataclass(frozen=True)
class Use:
    """Instances of the type in the account's endpoints."""

    own: int
    """Of the stage's endpoint; 0 without one."""
    others: int | None
    """Of all other endpoints; None if they could not be counted."""
    why_unknown: str = ""


def check(target: StageTarget, fleet: FleetFacts, rollout: RolloutFacts, client: Client) -> Iterator[Finding]:
    """Compare the quota with the fleet now, and with an update of that fleet."""
    instance, region = fleet.instance_type, target.region
    name = f"{instance} for endpoint usage"
    quota = find(client("service-quotas"), name)
    if quota is None:
        yield unknown(
            "instance quota",
            f"Service Quotas has no quota {name!r} in {region}: SageMaker may not have {instance} there",
            "look at the list of SageMaker's instance types and prices for the region",
        )
        return
    use = instances_in_use(client("sagemaker"), instance, target.endpoint_name)
    others = use.others or 0
    count, most = use.own or fleet.initial, fleet.maximum
    needed, at_most = quota_of_update(rollout.strategy, rollout.batch_percent, count), fleet.quota
    found = f"{quota.value} {'' if quota.applied else '(the default) '}in {region}"
    found += f", other endpoints use {use.others}" if use.others is not None else ""
    found += (
        f"; {count} × {instance} need {count}, and {needed} during an update "
        f"({rollout.strategy.replace('_', ' ')})"
    )
    if quota.value - others < needed:
        yield problem("instance quota", found, _remedy(client, quota, region, others + at_most))
    elif use.others is None:
        yield unknown("instance quota", f"{found}; other endpoints were not counted: {use.why_unknown}")
    elif quota.value - others < at_most:
        yield ok("instance quota", f"{found}; the largest fleet, {most}, would need {at_most} then")
    else:
        yield ok("instance quota", f"{found}, {at_most} for the largest fleet")


def find(quotas: Any, name: str) -> Quota | None:
    """Return SageMaker's quota of this name; None if there is none.

    ListAWSDefaultServiceQuotas has every quota. GetServiceQuota has the account's own value, and
    NoSuchResourceException where the default applies.
    """
    pages = quotas.get_paginator("list_aws_default_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": 100}
    )
    default = next((quota for page in pages for quota in page["Quotas"] if quota["QuotaName"] == name), None)
    if default is None:
        return None
    code = default["QuotaCode"]
    try:
        applied = quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]
    except ClientError as error:
        if error_code(error) != "NoSuchResourceException":
            raise
        return Quota(code, int(default["Value"]), applied=False)
    return Quota(code, int(applied["Value"]), applied=True)


def instances_in_use(sagemaker: Any, instance: str, endpoint: str) -> Use:
    """Count the instances of a type in the endpoint of that name, and in all others."""
    own = others = 0
    try:
        pages = sagemaker.get_paginator("list_endpoints").paginate()
        names = [
            found["EndpointName"]
            for page in pages
            for found in page["Endpoints"]
            if found["EndpointStatus"] not in ("Failed", "Deleting")
        ]
        if endpoint in names:
            names.remove(endpoint)
            own = _instances(sagemaker, instance, endpoint)
        if len(names) > _MOST_ENDPOINTS:
            return Use(own, None, f"there are {len(names)}")
        others = sum(_instances(sagemaker, instance, name) for name in names)
    except (BotoCoreError, ClientError) as error:
        return Use(own, None, str(error))
    return Use(own, others)


def _instances(sagemaker: Any, instance: str, endpoint: str) -> int:
    """Count the instances of a type in one endpoint; those of variants that scale from 0 as they are now."""
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    kinds = ("ProductionVariants", "ShadowProductionVariants")
    types = {
        variant["VariantName"]: variant.get("InstanceType")
        for kind in kinds
        for variant in config.get(kind, [])
    }
    return sum(
        max(variant.get("DesiredInstanceCount", 0), variant.get("CurrentInstanceCount", 0))
        for kind in kinds
        for variant in described.get(kind, [])
        if types.get(variant["VariantName"]) == instance
    )


def _remedy(client: Client, quota: Quota, region: str, wanted: int) -> str:
    link = (
        f"https://{region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/{quota.code}"
    )
    command = (
        "aws service-quotas request-service-quota-increase --service-code sagemaker "
        f"--quota-code {quota.code} --desired-value {wanted} --region {region}"
    )
    return f"{_pending(client, quota)}`{command}`, or {link}; AWS takes an hour to days"


def _pending(client: Client, quota: Quota) -> str:
    """Describe an open request for more; empty without one, or if it may not be read."""
    try:
        requests = client("service-quotas").list_requested_service_quota_change_history_by_quota(
            ServiceCode="sagemaker", QuotaCode=quota.code
        )["RequestedQuotas"]
    except (BotoCoreError, ClientError):
        return ""
    opened = [request for request in requests if request["Status"] in ("PENDING", "CASE_OPENED")]
    return f"a request for {opened[0]['DesiredValue']:g} is {opened[0]['Status']}; else " if opened else ""
