"""Rules for every stage, independent of its values."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.config.base_images import build_argument, read_lock

STAGES = ("Dev", "Local", "Prod", "Staging")
Template = dict[str, Any]


def of_type(template: Template, resource_type: str) -> list[dict[str, Any]]:
    return [resource for resource in template["Resources"].values() if resource["Type"] == resource_type]


@pytest.fixture(params=STAGES)
def store(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    return templates[f"{request.param}/AdapterStore"]


@pytest.fixture(params=STAGES)
def scaling(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    return templates[f"{request.param}/Scaling"]


@pytest.fixture(params=STAGES)
def serving(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    return templates[f"{request.param}/Serving"]


def test_the_bucket_is_encrypted_versioned_and_private(store: Template) -> None:
    (bucket,) = of_type(store, "AWS::S3::Bucket")
    properties = bucket["Properties"]
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    (policy,) = of_type(store, "AWS::S3::BucketPolicy")
    denied = [
        s["Condition"] for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"
    ]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied


@pytest.mark.parametrize("stage", STAGES)
def test_data_outlives_the_stack_only_where_the_stage_says_so(
    stage: str, templates: dict[str, Template]
) -> None:
    retained = stage in {"Prod", "Staging"}
    template = templates[f"{stage}/AdapterStore"]
    for kind in ("AWS::S3::Bucket", "AWS::KMS::Key"):
        (resource,) = of_type(template, kind)
        assert resource["DeletionPolicy"] == ("Retain" if retained else "Delete")
    (seeding,) = of_type(template, "Custom::AdapterSeeding")
    assert seeding["Properties"]["RetainData"] == str(retained).lower()
    assert ("s3:DeleteObjectVersion" in str(template)) is not retained


def test_the_template_does_not_grow_with_the_manifest(templates: dict[str, Template]) -> None:
    fifty, none = templates["Dev/AdapterStore"], templates["Staging/AdapterStore"]
    assert "gsm8k" not in str(fifty)
    (seeding,) = of_type(fifty, "Custom::AdapterSeeding")
    (empty,) = of_type(none, "Custom::AdapterSeeding")
    assert seeding["Properties"].keys() == empty["Properties"].keys()


def test_no_managed_policy_but_lambdas_own_and_no_wildcard_action(store: Template, serving: Template) -> None:
    for template in (store, serving):
        for role in of_type(template, "AWS::IAM::Role"):
            assert "FullAccess" not in str(role["Properties"].get("ManagedPolicyArns"))
        for policy in of_type(template, "AWS::IAM::Policy"):
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    assert action != "*"
                    assert not action.endswith(":*")


def test_execution_role_reads_the_store_watches_a_rollout_and_writes_logs_probes_and_demand(
    serving: Template,
) -> None:
    (policy,) = of_type(serving, "AWS::IAM::Policy")
    actions = set()
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        wanted = statement["Action"]
        actions |= {wanted} if isinstance(wanted, str) else set(wanted)
    assert actions <= {
        "s3:GetObject", "s3:ListBucket", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey",
        "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricData", "logs:DescribeLogStreams",
        "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents",
        "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
        "ecr:GetAuthorizationToken",
    }  # fmt: skip


def test_the_execution_role_writes_probes_and_demand_and_replaces_no_probe(serving: Template) -> None:
    (policy,) = of_type(serving, "AWS::IAM::Policy")
    writes = {
        statement["Sid"]: (json.dumps(statement["Resource"]), statement.get("Condition"))
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "s3:PutObject" in statement["Action"]
    }
    assert writes.keys() == {"CreateProbes", "WriteDemand"}
    probes, condition = writes["CreateProbes"]
    assert '"/probes/*"' in probes
    assert condition == {"Null": {"s3:if-none-match": "false"}}
    assert '"/demand/' in writes["WriteDemand"][0]


def test_the_model_waits_for_the_roles_policy(serving: Template) -> None:
    (model,) = of_type(serving, "AWS::SageMaker::Model")
    policies = [key for key, value in serving["Resources"].items() if value["Type"] == "AWS::IAM::Policy"]
    assert set(policies) <= set(model["DependsOn"])


def test_model_and_endpoint_config_have_no_fixed_names(serving: Template) -> None:
    (model,), (config,) = (
        of_type(serving, f"AWS::SageMaker::{kind}") for kind in ("Model", "EndpointConfig")
    )
    assert "ModelName" not in model["Properties"]
    assert "EndpointConfigName" not in config["Properties"]


@pytest.mark.parametrize("stage", ["Dev", "Prod"])
def test_dev_and_prod_are_the_seed_articles_endpoint(stage: str, templates: dict[str, Template]) -> None:
    template = templates[f"{stage}/Serving"]
    (model,), (config,) = (
        of_type(template, f"AWS::SageMaker::{kind}") for kind in ("Model", "EndpointConfig")
    )
    environment = model["Properties"]["PrimaryContainer"]["Environment"]
    assert environment["HF_MODEL_ID"] == "mistralai/Mistral-7B-Instruct-v0.1"
    assert (environment["MAX_INPUT_LENGTH"], environment["MAX_TOTAL_TOKENS"]) == ("1024", "4096")
    (variant,) = config["Properties"]["ProductionVariants"]
    assert variant["InstanceType"] == "ml.g5.xlarge"
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 800


def test_the_stages_differ_in_values_only(templates: dict[str, Template]) -> None:
    def kinds(stage: str) -> set[str]:
        resources = {
            f"{stack}.{logical_id}": resource
            for stack in ("AdapterStore", "Observability", "Serving", "Scaling")
            for logical_id, resource in templates[f"{stage}/{stack}"]["Resources"].items()
        }
        return {resource["Type"] for resource in resources.values()}

    assert kinds("Local") == kinds("Dev") == kinds("Staging") == kinds("Prod")


def test_autoscaling_follows_requests_in_flight(scaling: Template) -> None:
    (policy,) = of_type(scaling, "AWS::ApplicationAutoScaling::ScalingPolicy")
    tracking = policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["PredefinedMetricSpecification"]["PredefinedMetricType"] == (
        "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    )


def test_a_deployment_keeps_the_count_and_excludes_no_property(serving: Template) -> None:
    (endpoint,) = of_type(serving, "AWS::SageMaker::Endpoint")
    assert endpoint["Properties"]["RetainAllVariantProperties"] is True
    assert "ExcludeRetainedVariantProperties" not in endpoint["Properties"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_containers_requests_to_s3_go_to_the_region_of_the_stack(
    stage: str, templates: dict[str, Template]
) -> None:
    (model,) = of_type(templates[f"{stage}/Serving"], "AWS::SageMaker::Model")
    environment = model["Properties"]["PrimaryContainer"]["Environment"]
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_that_is_built_starts_from_what_is_locked(
    stage: str, assembly: Path, templates: dict[str, Template]
) -> None:
    locked = read_lock()
    (file,) = assembly.rglob(f"*{stage}Serving*.assets.json")
    images = json.loads(file.read_text())["dockerImages"].values()
    assert len(images) == (stage != "Local")
    for image in images:
        ((argument, base),) = image["source"]["dockerBuildArgs"].items()
        engine = image["source"]["dockerFile"].split("/")[1]
        assert (argument, base) == (build_argument(engine), locked[engine].reference)
