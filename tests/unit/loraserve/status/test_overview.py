"""The parts of a stage's state from the answers of AWS; a refused part hides no other."""

from datetime import timedelta
from typing import Any

import pytest

from loraserve.errors import NotDeployed
from loraserve.stage_access import StageAccess
from loraserve.status import questions
from loraserve.status.overview import overview, require_stacks
from stacks.config.stage_target import StageTarget
from tests.unit.loraserve.stubbed_cloud import ENDPOINT, THEN, Cloud

TARGET = StageTarget(name="dev", account=None, region="us-east-1")
VARIANT = {"VariantName": "AllTraffic", "CurrentInstanceCount": 1, "DesiredInstanceCount": 2}


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def access(cloud: Cloud) -> StageAccess:
    return StageAccess(TARGET, cloud)


def scaled(cloud: Cloud, **found: Any) -> None:
    targets = [found] if found else []
    cloud.answers("application-autoscaling", "describe_scalable_targets", {"ScalableTargets": targets})


def test_the_endpoint_has_its_instances_and_their_type(cloud: Cloud) -> None:
    cloud.endpoint("Updating", ProductionVariants=[VARIANT])
    cloud.config()
    scaled(
        cloud, ServiceNamespace="sagemaker", ResourceId=f"endpoint/{ENDPOINT}/variant/AllTraffic",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount", MinCapacity=1, MaxCapacity=4,
        RoleARN="arn:aws:iam::123456789012:role/scaling", CreationTime=THEN,
    )  # fmt: skip
    with cloud.stubbed():
        found = questions.endpoint(access(cloud))
    assert found is not None
    assert (found.status, found.instances, found.wanted_instances) == ("Updating", 1, 2)
    assert (found.variant, found.instance_type, found.limits) == ("AllTraffic", "ml.g5.xlarge", (1, 4))


def test_a_config_that_is_deleted_leaves_the_type_unknown(cloud: Cloud) -> None:
    cloud.endpoint(ProductionVariants=[VARIANT])
    cloud.lost("describe_endpoint_config")
    scaled(cloud)
    with cloud.stubbed():
        found = questions.endpoint(access(cloud))
        assert found is not None
        cost = questions.cost(access(cloud), found, [])
    assert found.instance_type is None
    assert cost.usd is None


def test_residency_is_the_newest_value(cloud: Cloud) -> None:
    cloud.bucket()
    contents = [
        {"Key": f"registry/{name}.json", "Size": 1, "LastModified": THEN} for name in ("otter", "team/a")
    ]
    cloud.answers("s3", "list_objects_v2", {"Contents": contents, "IsTruncated": False})
    results = [
        # CloudWatch has the newest first, the laptop cloud last.
        {"Id": "in_slots", "Timestamps": [THEN + timedelta(minutes=1), THEN], "Values": [3.0, 2.0]},
        {"Id": "in_memory", "Timestamps": [], "Values": []},
        {"Id": "on_disk", "Timestamps": [THEN, THEN + timedelta(minutes=1)], "Values": [4.0, 5.0]},
    ]
    cloud.answers("cloudwatch", "get_metric_data", {"MetricDataResults": results})
    with cloud.stubbed():
        found = questions.adapters(access(cloud), "AllTraffic")
    assert (found.published, found.in_slots, found.in_memory, found.on_disk) == (2, 3.0, None, 5.0)


def test_the_requests_of_the_hour_are_added_up(cloud: Cloud) -> None:
    results = [
        {"Id": "requests", "Timestamps": [THEN, THEN + timedelta(minutes=5)], "Values": [7.0, 5.0]},
        {"Id": "errors", "Timestamps": [THEN], "Values": [2.0]},
    ]
    cloud.answers("cloudwatch", "get_metric_data", {"MetricDataResults": results})
    with cloud.stubbed():
        found = questions.requests(access(cloud), "AllTraffic")
    assert found is not None
    assert (found.requests, found.errors) == (12, 2)


def test_alarms_are_counted_by_their_state(cloud: Cloud) -> None:
    alarms = [
        {"AlarmName": f"{ENDPOINT}-{name}", "StateValue": state}
        for name, state in (("a", "OK"), ("b", "ALARM"), ("c", "INSUFFICIENT_DATA"))
    ]
    cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": alarms, "CompositeAlarms": []})
    with cloud.stubbed():
        found = questions.alarms(access(cloud))
    assert (found.total, found.raised, found.silent) == (3, (f"{ENDPOINT}-b",), (f"{ENDPOINT}-c",))


def test_a_refused_part_is_not_known_and_hides_no_other(cloud: Cloud) -> None:
    cloud.refuses("sagemaker", "describe_endpoint", "AccessDeniedException")
    for _ in ("stacks", "adapters", "release"):
        cloud.answers("cloudformation", "describe_stacks", {"Stacks": []})
    cloud.answers("cloudwatch", "describe_alarms", {"MetricAlarms": [], "CompositeAlarms": []})
    with cloud.stubbed():
        status = overview(access(cloud))
    assert status.not_known["endpoint"] == "DescribeEndpoint answered AccessDeniedException"
    assert "there is no stack LoraServing-Dev-AdapterStore" in status.not_known["adapters"]
    assert status.alarms is not None
    assert (status.stacks, status.requests, status.release) == ({}, None, None)
    with pytest.raises(NotDeployed, match="make deploy STAGE=dev"):
        require_stacks(status)
