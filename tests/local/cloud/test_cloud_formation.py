"""The CloudFormation types, from templates that are deployed through boto3."""

from __future__ import annotations

import json
import time
from importlib import import_module
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop_cloud.cloudformation import install as cloudformation

ROLE = "arn:aws:iam::000000000000:role/execution"


def template(**environment: str) -> dict[str, Any]:
    """All five types, as a stack of this project declares them; numbers as a parameter gives them."""
    endpoint = {"Fn::GetAtt": ["Endpoint", "EndpointName"]}
    return {
        "Parameters": {"Instances": {"Type": "String", "Default": "1"}},
        "Resources": {
            "Model": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {
                    "ExecutionRoleArn": ROLE,
                    "PrimaryContainer": {"Image": "localhost/echo:test", "Environment": environment},
                },
            },
            "Config": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {
                    "ProductionVariants": [
                        {
                            "VariantName": "Main",
                            "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                            "InstanceType": "ml.g5.xlarge",
                            "InitialInstanceCount": {"Ref": "Instances"},
                        }
                    ]
                },
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
                    "RetainAllVariantProperties": True,
                },
            },
            "Target": {
                "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
                "Properties": {
                    "ServiceNamespace": "sagemaker",
                    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                    "ResourceId": {"Fn::Join": ["/", ["endpoint", endpoint, "variant", "Main"]]},
                    "MinCapacity": 1,
                    "MaxCapacity": 4,
                    "ScheduledActions": [
                        {
                            "ScheduledActionName": "mornings",
                            "Schedule": "cron(0 7 * * ? *)",
                            "ScalableTargetAction": {"MinCapacity": 2},
                        }
                    ],
                },
            },
            "Policy": {
                "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
                "Properties": {
                    "PolicyName": "concurrency",
                    "PolicyType": "TargetTrackingScaling",
                    "ScalingTargetId": {"Ref": "Target"},
                    "TargetTrackingScalingPolicyConfiguration": {
                        "TargetValue": 5,
                        "PredefinedMetricSpecification": {
                            "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"
                        },
                    },
                },
            },
        },
        "Outputs": {
            "EndpointName": {"Value": endpoint},
            "EndpointRef": {"Value": {"Ref": "Endpoint"}},
            "ModelRef": {"Value": {"Ref": "Model"}},
            "TargetRef": {"Value": {"Ref": "Target"}},
            "PolicyRef": {"Value": {"Ref": "Policy"}},
        },
    }


class Stack:
    """A stack and its events."""

    def __init__(self, cloud: Any, name: str) -> None:
        self._api = cloud.client("cloudformation")
        self.name = name

    def create(self, body: dict[str, Any]) -> str:
        self._api.create_stack(StackName=self.name, TemplateBody=json.dumps(body))
        return self.status()

    def update(self, body: dict[str, Any]) -> str:
        self._api.update_stack(StackName=self.name, TemplateBody=json.dumps(body))
        return self.status()

    def delete(self) -> None:
        self._api.delete_stack(StackName=self.name)
        self._api.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig={"Delay": 1})

    def status(self) -> str:
        while True:
            [stack] = self._api.describe_stacks(StackName=self.name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return str(stack["StackStatus"])
            time.sleep(0.2)

    def outputs(self) -> dict[str, str]:
        [stack] = self._api.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def ids(self) -> dict[str, str]:
        resources = self._api.describe_stack_resources(StackName=self.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def reasons(self) -> str:
        events = self._api.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)


def said_by(sagemaker: Any, endpoint: str) -> Any:
    return json.load(sagemaker.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}")["Body"])


def generated(sagemaker: Any) -> list[str]:
    """The names of endpoints, configurations and models that CloudFormation generated."""
    names = [
        *(each["EndpointName"] for each in sagemaker.api.list_endpoints()["Endpoints"]),
        *(each["EndpointConfigName"] for each in sagemaker.api.list_endpoint_configs()["EndpointConfigs"]),
        *(each["ModelName"] for each in sagemaker.api.list_models()["Models"]),
    ]
    return [name for name in names if name.startswith(("Endpoint-", "Config-", "Model-"))]


def test_a_stack_is_created_updated_and_deleted(cloud: Any, sagemaker: Any, processes_of: Any) -> None:
    stack = Stack(cloud, "whole")
    scaling = cloud.client("application-autoscaling")
    assert stack.create(template(GREETING="one")) == "CREATE_COMPLETE", stack.reasons()
    outputs, before = stack.outputs(), stack.ids()
    endpoint = outputs["EndpointName"]
    assert endpoint.startswith("Endpoint-")
    assert outputs["EndpointRef"] == f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{endpoint}"
    assert outputs["ModelRef"].startswith("arn:aws:sagemaker:us-east-1:000000000000:model/Model-")
    assert outputs["TargetRef"] == (
        f"endpoint/{endpoint}/variant/Main|sagemaker:variant:DesiredInstanceCount|sagemaker"
    )
    [policy] = scaling.describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=f"endpoint/{endpoint}/variant/Main"
    )["ScalingPolicies"]
    assert policy["PolicyARN"] == outputs["PolicyRef"]
    assert said_by(sagemaker, endpoint)["environment"]["GREETING"] == "one"
    tags = sagemaker.api.list_tags(ResourceArn=outputs["EndpointRef"])["Tags"]
    assert {"Key": "aws:cloudformation:stack-name", "Value": "whole"} in tags

    assert stack.update(template(GREETING="two")) == "UPDATE_COMPLETE", stack.reasons()
    after = stack.ids()
    assert {name for name in before if before[name] != after[name]} == {"Model", "Config"}
    assert said_by(sagemaker, endpoint)["environment"]["GREETING"] == "two"
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.api.describe_model(ModelName=before["Model"].rpartition("/")[2])

    stack.delete()
    assert processes_of(cloud.state / "endpoints" / endpoint) == []
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert generated(sagemaker) == []


def test_a_change_set_says_which_resources_it_will_replace(cloud: Any) -> None:
    stack = Stack(cloud, "preview")
    assert stack.create(template(GREETING="one")) == "CREATE_COMPLETE", stack.reasons()
    api = cloud.client("cloudformation")
    named = {"StackName": "preview", "ChangeSetName": "next"}
    api.create_change_set(**named, TemplateBody=json.dumps(template(GREETING="two")))
    api.get_waiter("change_set_create_complete").wait(**named, WaiterConfig={"Delay": 1})
    changes = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"]["Replacement"]
        for change in api.describe_change_set(**named)["Changes"]
    }
    assert changes["Model"] == "True"
    assert changes.get("Endpoint") != "True"
    stack.delete()


def test_an_endpoint_that_fails_rolls_stack_back_with_containers_words(cloud: Any, sagemaker: Any) -> None:
    stack = Stack(cloud, "broken")
    assert stack.create(template(FAIL_WITH="out of memory, said the engine")) == "ROLLBACK_COMPLETE"
    assert "out of memory, said the engine" in stack.reasons()
    assert generated(sagemaker) == []
    stack.delete()


def test_an_update_that_fails_rolls_back_and_endpoint_serves_on(cloud: Any, sagemaker: Any) -> None:
    stack = Stack(cloud, "careful")
    assert stack.create(template(GREETING="one")) == "CREATE_COMPLETE", stack.reasons()
    endpoint = stack.outputs()["EndpointName"]
    before = said_by(sagemaker, endpoint)["pid"]
    assert stack.update(template(FAIL_WITH="no such adapter")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "no such adapter" in stack.reasons()
    assert said_by(sagemaker, endpoint)["pid"] == before
    stack.delete()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("Config", "ProductionVariants", 0, "InstanceType"), "ml.g99.xlarge", "InstanceType"),
        (("Config", "ProductionVariants", 0, "Speed"), 3, "Unknown parameter 'ProductionVariants[0].Speed'"),
        (("Target", "MaxCapacity"), 0, "must not be greater than MaxCapacity 0"),
    ],
)
def test_a_template_is_checked_by_the_services_own_rules(
    cloud: Any, path: tuple[Any, ...], value: Any, message: str
) -> None:
    body = template(GREETING="one")
    at = body["Resources"][path[0]]["Properties"]
    for step in path[1:-1]:
        at = at[step]
    at[path[-1]] = value
    stack = Stack(cloud, "checked")
    assert stack.create(body) == "ROLLBACK_COMPLETE"
    assert message in stack.reasons()
    stack.delete()


def test_a_model_with_a_fixed_name_cannot_be_replaced(cloud: Any) -> None:
    stack = Stack(cloud, "named")
    first, second = template(GREETING="one"), template(GREETING="two")
    for body in (first, second):
        body["Resources"]["Model"]["Properties"]["ModelName"] = "mine"
    assert stack.create(first) == "CREATE_COMPLETE", stack.reasons()
    assert stack.update(second) == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in stack.reasons()
    stack.delete()


def test_the_pinned_emulator_has_every_private_name() -> None:
    cloudformation.check_emulator()


def test_an_emulator_without_a_name_is_refused_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    provisioners = import_module("ministack.services.cloudformation.provisioners")
    monkeypatch.delattr(provisioners, "_RESOURCE_HANDLERS")
    with pytest.raises(cloudformation.EmulatorChanged) as error:
        cloudformation.check_emulator()
    assert "ministack 1.5.33 lacks ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS" in str(
        error.value
    )
