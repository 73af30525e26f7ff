"""Updates by CloudFormation: a deployment that SageMaker rolls back rolls the stack back."""

from __future__ import annotations

import json
from typing import Any

from laptop_cloud.cloud import LaptopCloud
from tests.harness.waiting import wait_until
from tests.local.updates.served import IMAGE, ROLE, Endpoints, blue_green, percent, watched


def template(version: str, alarm: str) -> str:
    variant = {
        "VariantName": "Main",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.g5.xlarge",
        "InitialInstanceCount": 1,
    }
    container = {"Image": IMAGE, "Environment": {"VERSION": version}}
    deployment = watched(blue_green("CANARY", wait_s=20, CanarySize=percent(50)), alarm)
    resources = {
        "Model": ("Model", {"ExecutionRoleArn": ROLE, "PrimaryContainer": container}),
        "Config": ("EndpointConfig", {"ProductionVariants": [variant]}),
        "Endpoint": (
            "Endpoint",
            {
                "EndpointName": "by-stack",
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
                "DeploymentConfig": deployment,
            },
        ),
    }
    return json.dumps(
        {
            "Resources": {
                name: {"Type": f"AWS::SageMaker::{kind}", "Properties": properties}
                for name, (kind, properties) in resources.items()
            }
        }
    )


def test_an_alarm_in_a_stacks_update_rolls_the_stack_back(cloud: LaptopCloud, endpoints: Endpoints) -> None:
    api, alarm = cloud.client("cloudformation"), endpoints.alarm()

    def status() -> Any:
        return api.describe_stacks(StackName="guarded")["Stacks"][0]["StackStatus"]

    api.create_stack(StackName="guarded", TemplateBody=template("old", alarm))
    wait_until(lambda: status() == "CREATE_COMPLETE", "the stack is there")
    before = endpoints.described("by-stack")["EndpointConfigName"]

    api.update_stack(StackName="guarded", TemplateBody=template("new", alarm))
    endpoints.wait_baking("by-stack")
    endpoints.sound(alarm)
    wait_until(lambda: status() == "UPDATE_ROLLBACK_COMPLETE", "the stack has rolled back")
    description = endpoints.described("by-stack")
    assert (description["EndpointStatus"], description["EndpointConfigName"]) == ("InService", before)
    assert {endpoints.ask("by-stack")["version"] for _ in range(4)} == {"old"}
    events = api.describe_stack_events(StackName="guarded")["StackEvents"]
    assert any(f"alarm {alarm} is in state" in event.get("ResourceStatusReason", "") for event in events)
    api.delete_stack(StackName="guarded")
    api.get_waiter("stack_delete_complete").wait(StackName="guarded", WaiterConfig={"Delay": 1})
