from typing import Any

import pytest

from adapters.validation.rules import Rules
from lambdas.adapter_seeder.on_event import handle
from lambdas.adapter_seeder.properties import MissingProperty, Properties


def custom_resource(template: dict[str, Any]) -> dict[str, Any]:
    [seeding] = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "Custom::AdapterSeeding"
    ]
    return {name: value if isinstance(value, str) else str(value) for name, value in seeding.items()}


@pytest.mark.parametrize("stage", ["Dev", "Local", "Prod", "Staging"])
def test_the_template_gives_every_property_and_no_other(templates: dict[str, Any], stage: str) -> None:
    given = custom_resource(templates[f"{stage}/AdapterStore"])
    read = Properties.read(given)
    # Read by CloudFormation and by CDK's provider.
    assert len(given) == len(vars(read)) + len({"ServiceToken", "ServiceTimeout"})
    assert read.rules.max_rank >= 1


def test_a_missing_property_is_named_before_anything_is_done(templates: dict[str, Any]) -> None:
    given = custom_resource(templates["Local/AdapterStore"])
    for name in set(given) - {"ServiceToken", "ServiceTimeout"}:
        broken = {key: value for key, value in given.items() if key != name}
        with pytest.raises(MissingProperty, match=f"no property {name}: deploy the stack again"):
            handle({"RequestType": "Create", "ResourceProperties": broken}, None)


def test_another_bucket_is_another_resource(templates: dict[str, Any]) -> None:
    given = custom_resource(templates["Local/AdapterStore"])
    create = {"RequestType": "Create"}
    first = handle(create | {"ResourceProperties": given | {"Bucket": "one"}}, None)
    assert first["PhysicalResourceId"] == "adapter-seeding-one"
    second = handle(create | {"ResourceProperties": given | {"Bucket": "two"}}, None)
    assert second["PhysicalResourceId"] == "adapter-seeding-two"


def test_a_deletion_needs_no_property_that_an_older_version_did_not_have() -> None:
    event = {"RequestType": "Delete", "ResourceProperties": {"Bucket": "one", "RetainData": "true"}}
    assert handle(event, None)["PhysicalResourceId"] == "adapter-seeding-one"


def test_the_rules_are_the_stages(templates: dict[str, Any]) -> None:
    read = Properties.read(custom_resource(templates["Local/AdapterStore"]))
    assert read.rules == Rules("vllm", 8, "tiny-mistral", ("q_proj", "v_proj"), gpus=1)
