"""Models, endpoint configurations and their checks, through boto3."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

TOO_MANY = {"PrefixLength": 1024, "ConcurrencyThreshold": 1025}
ROLE = "arn:aws:iam::000000000000:role/execution"


@pytest.fixture(scope="module")
def unchecked(cloud: Any) -> Any:
    """A client that sends what it is given, so that the service is what refuses."""
    return cloud.client("sagemaker", Config(parameter_validation=False))


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    assert error.value.response["Error"]["Code"] == "ValidationException"
    return str(error.value.response["Error"]["Message"])


def test_a_model_is_described_as_it_was_created(sagemaker: Any) -> None:
    name = sagemaker.model(Environment={"GREETING": "hello"})
    described = sagemaker.api.describe_model(ModelName=name)
    assert described["ModelArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:model/{name}"
    assert described["PrimaryContainer"]["Environment"] == {"GREETING": "hello"}
    assert described["CreationTime"].year >= 2026


def test_a_deleted_model_is_not_found(sagemaker: Any) -> None:
    name = sagemaker.model()
    sagemaker.api.delete_model(ModelName=name)
    with pytest.raises(ClientError, match=f'Could not find model ".*model/{name}"'):
        sagemaker.api.describe_model(ModelName=name)


def test_a_name_is_taken_once(sagemaker: Any) -> None:
    name = sagemaker.model()
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        sagemaker.api.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "localhost/echo"}
        )


def test_network_isolation_is_refused(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="EnableNetworkIsolation"):
        sagemaker.api.create_model(
            ModelName="isolated",
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": "localhost/echo"},
            EnableNetworkIsolation=True,
        )


def test_an_endpoint_configuration_needs_its_model(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match='Could not find model ".*model/nobody"'):
        sagemaker.config("nobody")


def test_an_endpoint_needs_its_configuration(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match='Could not find endpoint configuration ".*/nothing"'):
        sagemaker.begin("nothing")


@pytest.mark.parametrize(
    ("variant", "parameter", "constraint"),
    [
        ({"InstanceType": "ml.g99.xlarge"}, "ProductionVariants[0].InstanceType", "enum value set"),
        (
            {"InitialInstanceCount": 0},
            "ProductionVariants[0].InitialInstanceCount",
            "greater than or equal to 1",
        ),
        (
            {"InitialInstanceCount": "1"},
            "ProductionVariants[0].InitialInstanceCount",
            "must be of type integer",
        ),
        ({"VolumeSizeInGB": 900}, "ProductionVariants[0].VolumeSizeInGB", "less than or equal to 512"),
        ({"VariantName": "no_underscores"}, "ProductionVariants[0].VariantName", "regular expression"),
        (
            {"ContainerStartupHealthCheckTimeoutInSeconds": 7200},
            "ProductionVariants[0].ContainerStartupHealthCheckTimeoutInSeconds",
            "less than or equal to 3600",
        ),
        (
            {"RoutingConfig": {"RoutingStrategy": "PREFIX_AWARE", "PrefixAwareRoutingConfig": TOO_MANY}},
            "ProductionVariants[0].RoutingConfig.PrefixAwareRoutingConfig.ConcurrencyThreshold",
            "less than or equal to 1024",
        ),
        ({"RoutingConfig": {"RoutingStrategy": "PREFIX_AWARE"}}, "PrefixAwareRoutingConfig", "needs"),
    ],
)
def test_a_bad_variant_is_refused_by_the_name_of_the_parameter(
    sagemaker: Any, unchecked: Any, variant: dict[str, Any], parameter: str, constraint: str
) -> None:
    good = {"VariantName": "Main", "ModelName": sagemaker.model(), "InstanceType": "ml.g5.xlarge"}
    with pytest.raises(ClientError) as error:
        unchecked.create_endpoint_config(EndpointConfigName="bad", ProductionVariants=[{**good, **variant}])
    assert parameter in refusal(error)
    assert constraint in refusal(error)


def test_an_environment_value_has_at_most_1024_characters(sagemaker: Any) -> None:
    with pytest.raises(ClientError) as error:
        sagemaker.model(Environment={"LORA_MODULES": "x" * 1025})
    assert "PrimaryContainer.Environment.LORA_MODULES" in refusal(error)


def test_a_missing_parameter_is_named(unchecked: Any) -> None:
    with pytest.raises(ClientError) as error:
        unchecked.create_endpoint(EndpointName="lonely")
    assert "'EndpointConfigName'" in refusal(error)


def test_model_data_under_a_prefix_ends_with_a_slash(sagemaker: Any) -> None:
    source = {"S3Uri": "s3://store/models/base", "S3DataType": "S3Prefix", "CompressionType": "None"}
    with pytest.raises(ClientError) as error:
        sagemaker.model(ModelDataSource={"S3DataSource": source})
    assert "must end with a forward slash" in refusal(error)


def test_an_operation_that_is_not_there_says_what_is(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="the laptop cloud has no sagemaker:CreateTrial; it has AddTags"):
        sagemaker.api.create_trial(TrialName="t", ExperimentName="e")


def test_a_list_is_whole_and_newest_first(sagemaker: Any) -> None:
    arns = [
        sagemaker.api.create_model(
            ModelName=f"listed-{n:02}", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "localhost/echo"}
        )["ModelArn"]
        for n in range(12)
    ]
    pages = list(sagemaker.api.get_paginator("list_models").paginate())
    assert len(pages) == 1
    assert [m["ModelArn"] for m in pages[0]["Models"]][:12] == arns[::-1]


@pytest.mark.parametrize(
    ("operation", "parameters", "named"),
    [
        ("list_models", {"NameContains": "x"}, "NameContains of ListModels"),
        ("list_models", {"MaxResults": 5, "NextToken": "5"}, "MaxResults, NextToken of ListModels"),
        ("list_endpoint_configs", {"SortBy": "Name"}, "SortBy of ListEndpointConfigs"),
        ("list_endpoints", {"StatusEquals": "InService"}, "StatusEquals of ListEndpoints"),
    ],
)
def test_a_filter_of_a_list_is_refused_by_name(
    sagemaker: Any, operation: str, parameters: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(sagemaker.api, operation)(**parameters)
    assert refusal(error) == f"the laptop cloud does not emulate {named}"


@pytest.mark.parametrize("kind", ["ProductionVariants", "ShadowProductionVariants"])
def test_a_second_variant_is_refused_by_name(sagemaker: Any, kind: str) -> None:
    first, second = (
        {
            "VariantName": name,
            "ModelName": sagemaker.model(),
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
        }
        for name in ("First", "Second")
    )
    variants = {"ProductionVariants": [first]}
    variants[kind] = [*variants.get(kind, []), second]
    with pytest.raises(ClientError) as error:
        sagemaker.api.create_endpoint_config(EndpointConfigName="two", **variants)
    assert "does not emulate several variants of an endpoint: two has First, Second" in refusal(error)


def test_accounts_and_regions_do_not_see_each_other(cloud: Any, sagemaker: Any) -> None:
    name = sagemaker.model()
    elsewhere = boto3.Session("111111111111", "local", region_name="eu-west-1").client(
        "sagemaker", endpoint_url=cloud.url
    )
    with pytest.raises(ClientError, match="arn:aws:sagemaker:eu-west-1:111111111111:model/"):
        elsewhere.describe_model(ModelName=name)


def test_tags_are_added_listed_and_deleted(sagemaker: Any) -> None:
    arn = sagemaker.api.describe_model(ModelName=sagemaker.model())["ModelArn"]
    sagemaker.api.add_tags(
        ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": "b"}]
    )
    sagemaker.api.delete_tags(ResourceArn=arn, TagKeys=["cost"])
    assert sagemaker.api.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
