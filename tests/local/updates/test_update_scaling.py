"""The number of instances: changed, retained by an update, and held within a target's bounds."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from laptop_cloud.cloud import LaptopCloud
from tests.local.updates.served import Endpoints, Load


@pytest.fixture(scope="module")
def endpoint(endpoints: Endpoints) -> str:
    """An endpoint whose configuration says one instance."""
    return endpoints.serving("first")


def scale(endpoints: Endpoints, endpoint: str, **wanted: Any) -> None:
    endpoints.api.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=[{"VariantName": "Main", **wanted}]
    )


def test_instances_come_and_go(endpoints: Endpoints, endpoint: str) -> None:
    with Load(endpoints, endpoint) as load:
        scale(endpoints, endpoint, DesiredInstanceCount=3)
        assert endpoints.described(endpoint)["EndpointStatus"] == "Updating"
        assert endpoints.counts(endpoint) == (3, 1)
        endpoints.settled(endpoint)
        pids = {endpoints.ask(endpoint)["pid"] for _ in range(60)}
        scale(endpoints, endpoint, DesiredInstanceCount=1)
        endpoints.settled(endpoint)
    assert load.failures == []
    assert len(pids) == 3
    assert endpoints.counts(endpoint) == (1, 1)
    assert len([pid for pid in pids if psutil.pid_exists(pid)]) == 1


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"DesiredInstanceCount": 0}, "must be at least 1"),
        ({"VariantName": "Other"}, "has no variant Other: it has Main"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(
    endpoints: Endpoints, endpoint: str, wanted: Any, message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        scale(endpoints, endpoint, **wanted)


def test_an_endpoint_that_is_being_updated_cannot_be_scaled(endpoints: Endpoints, endpoint: str) -> None:
    endpoints.update(endpoint, endpoints.config("second"))
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        scale(endpoints, endpoint, DesiredInstanceCount=2)
    endpoints.settled(endpoint)


def test_count_and_weight_survive_an_update_if_they_are_retained(endpoints: Endpoints, endpoint: str) -> None:
    def after(**options: Any) -> tuple[int, int, float]:
        endpoints.update(endpoint, endpoints.config("next"), **options)
        [variant] = endpoints.settled(endpoint)["ProductionVariants"]
        assert endpoints.ask(endpoint)["version"] == "next"
        return (
            variant["DesiredInstanceCount"],
            variant["CurrentInstanceCount"],
            variant["DesiredWeight"],
        )

    scale(endpoints, endpoint, DesiredInstanceCount=2, DesiredWeight=0.5)
    endpoints.settled(endpoint)
    assert after(RetainAllVariantProperties=True) == (2, 2, 0.5)
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    assert after(RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded) == (2, 2, 1)
    assert after() == (1, 1, 1)


def test_data_capture_cannot_be_excluded_from_what_is_retained(endpoints: Endpoints, endpoint: str) -> None:
    excluded = [{"VariantPropertyType": "DataCaptureConfig"}]
    with pytest.raises(ClientError, match="DataCaptureConfig .* is not currently supported"):
        endpoints.update(
            endpoint,
            endpoints.config("excluding"),
            RetainAllVariantProperties=True,
            ExcludeRetainedVariantProperties=excluded,
        )


def test_a_target_holds_its_variant_within_its_bounds(
    cloud: LaptopCloud, endpoints: Endpoints, endpoint: str
) -> None:
    scaling = cloud.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "ResourceId": f"endpoint/{endpoint}/variant/Main",
    }
    scaling.register_scalable_target(**target, MinCapacity=2, MaxCapacity=4)
    assert endpoints.described(endpoint)["EndpointStatus"] == "Updating"
    # While the endpoint grows it cannot be scaled again: this change is applied afterwards.
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=1)
    endpoints.settled(endpoint)
    endpoints.settled(endpoint)
    assert endpoints.counts(endpoint) == (1, 1)
    scaling.register_scalable_target(**target, MinCapacity=2, MaxCapacity=4)
    endpoints.settled(endpoint)
    assert endpoints.counts(endpoint) == (2, 2)
    scaling.deregister_scalable_target(**target)
