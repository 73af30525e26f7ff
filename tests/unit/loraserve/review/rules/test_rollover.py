"""Findings about a new fleet, its model and its code, for edits of the templates of `prod`."""

from typing import Any

import pytest

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.difference import Kind
from loraserve.review.engine import findings
from loraserve.review.finding import MAX_TITLE, Level, ReviewFinding
from loraserve.review.rules.rollover import requests_meanwhile
from tests.unit.loraserve.review.editing import Edit, all_of, compared, nothing, put

ENV = "PrimaryContainer.Environment."
VARIANT = "ProductionVariants.0."
CONFIG, MODEL, ENDPOINT, TARGET = "EndpointConfig", "Model", "Endpoint", "Target"
DIGEST = f"@sha256:{'0a' * 32}"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/serving"
TYPES = ("AWS::SageMaker::", "AWS::Lambda::", "AWS::StepFunctions::")
ALL_AT_ONCE = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 300,
        "MaximumExecutionTimeoutInSeconds": 3600,
    }
}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 10,
    "DestinationS3Uri": "s3://bucket/captured/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}
PREFIX_AWARE = {
    "RoutingStrategy": "PREFIX_AWARE",
    "PrefixAwareRoutingConfig": {"PrefixLength": 1024, "ConcurrencyThreshold": 128},
}
ROLLOVER, REVIEW, ROUTINE, BLOCK = Level.ROLLOVER, Level.REVIEW, Level.ROUTINE, Level.BLOCK
FLEET = {"rollover.fleet": ROLLOVER}


def env(variable: str, value: object) -> Edit:
    return put(MODEL, ENV + variable, value)


def image(uri: str) -> Edit:
    return put(MODEL, "PrimaryContainer.Image", uri)


def without_scaling(templates: dict[str, dict[str, Any]]) -> None:
    resources = templates["Scaling"]["Resources"]
    for name in [name for name, each in resources.items() if each["Type"].startswith("AWS::ApplicationAuto")]:
        del resources[name]


def one_instance(templates: dict[str, dict[str, Any]]) -> None:
    resources = templates["Scaling"]["Resources"].values()
    [target] = [each for each in resources if each["Type"].endswith("::ScalableTarget")]
    target["Properties"] |= {"MinCapacity": 1, "MaxCapacity": 1}


def renamed(old: str, new: str) -> Edit:
    """Give a resource another logical id, with all references to it."""

    def edit(templates: dict[str, dict[str, Any]]) -> None:
        resources = templates["Serving"]["Resources"]
        resources[new] = resources.pop(old)
        for each in resources.values():
            for value in (
                each.get("Properties", {}),
                *each.get("Properties", {}).get("ProductionVariants", ()),
            ):
                for name, found in value.items():
                    if isinstance(found, dict) and found.get("Fn::GetAtt", [None])[0] == old:
                        value[name] = {"Fn::GetAtt": [new, found["Fn::GetAtt"][1]]}

    return edit


def removed(stack: str, resource: str) -> Edit:
    return lambda templates: templates[stack]["Resources"].pop(resource)


#: Name, edit of the base, edit of the head, and rule and level of all findings of these types.
CASES: dict[str, tuple[Edit, Edit, dict[str, Level]]] = {
    "nothing": (nothing, nothing, {}),
    "tokens-up": (nothing, env("MAX_TOTAL_TOKENS", "8192"), FLEET),
    "tokens-down": (nothing, env("MAX_TOTAL_TOKENS", "2048"), FLEET | {"model.limits": REVIEW}),
    "default-down": (nothing, env("DEFAULT_MAX_NEW_TOKENS", "16"), FLEET | {"model.limits": REVIEW}),
    "rank-down": (nothing, env("MAX_ADAPTER_RANK", "8"), FLEET | {"model.limits": REVIEW}),
    "rank-up": (env("MAX_ADAPTER_RANK", "8"), nothing, FLEET),
    "modules-fewer": (nothing, env("ADAPTER_TARGET_MODULES", "q_proj"), FLEET | {"model.limits": REVIEW}),
    "modules-more": (env("ADAPTER_TARGET_MODULES", "q_proj"), nothing, FLEET),
    "tools-off": (env("TOOL_CALL_PARSER", "hermes"), nothing, FLEET | {"model.limits": REVIEW}),
    "answer-seconds": (nothing, env("ANSWER_SECONDS", "50"), FLEET),
    "dtype": (nothing, env("DTYPE", "bfloat16"), FLEET),
    "unknown-variable": (nothing, env("PYTHONPATH", "/x"), FLEET | {"unknown.property": REVIEW}),
    "foreign-bucket": (nothing, env("ADAPTER_BUCKET", "other"), FLEET | {"unknown.property": REVIEW}),
    "another-endpoint": (nothing, env("ENDPOINT_NAME", "other"), FLEET | {"unknown.property": REVIEW}),
    "remote-code": (
        nothing,
        env("HF_MODEL_TRUST_REMOTE_CODE", "true"),
        FLEET | {"supply.remote-code": REVIEW},
    ),
    "remote-code-off": (env("HF_MODEL_TRUST_REMOTE_CODE", "true"), nothing, FLEET),
    "revision": (nothing, env("HF_MODEL_REVISION", "0b" * 20), FLEET | {"model.changed": REVIEW}),
    "branch": (
        nothing,
        env("HF_MODEL_REVISION", "main"),
        FLEET | {"model.changed": REVIEW, "supply.unpinned": REVIEW},
    ),
    "no-mirror": (
        nothing,
        all_of(put(MODEL, "PrimaryContainer.ModelDataSource", None), env("HF_HUB_OFFLINE", None)),
        FLEET,
    ),
    "other-files": (
        nothing,
        put(MODEL, "PrimaryContainer.ModelDataSource.S3DataSource.S3Uri", "s3://other/models/x/"),
        FLEET | {"model.changed": REVIEW},
    ),
    "model-data-url": (
        nothing,
        put(MODEL, "PrimaryContainer.ModelDataUrl", "s3://other/x.tar.gz"),
        FLEET | {"unknown.property": REVIEW},
    ),
    "tag-to-digest": (
        image(f"{REPOSITORY}:1"),
        image(REPOSITORY + DIGEST),
        FLEET | {"supply.image": ROUTINE},
    ),
    "digest-to-tag": (
        image(REPOSITORY + DIGEST),
        image(f"{REPOSITORY}:1"),
        FLEET | {"supply.image": ROUTINE, "supply.unpinned": REVIEW},
    ),
    "another-repository": (
        image(REPOSITORY + DIGEST),
        image(f"docker.io/other/serving{DIGEST}"),
        FLEET | {"supply.image": REVIEW},
    ),
    "asset-to-tag": (
        nothing,
        image(f"{REPOSITORY}:1"),
        FLEET | {"supply.image": REVIEW, "supply.unpinned": REVIEW},
    ),
    "network": (
        nothing,
        put(MODEL, "VpcConfig", {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
        FLEET | {"access.network": REVIEW},
    ),
    "isolation": (nothing, put(MODEL, "EnableNetworkIsolation", True), FLEET | {"access.network": REVIEW}),
    "role": (
        nothing,
        put(MODEL, "ExecutionRoleArn", "arn:aws:iam::123456789012:role/other"),
        FLEET | {"access.foreign": REVIEW},
    ),
    "instance-count": (
        nothing,
        put(CONFIG, VARIANT + "InitialInstanceCount", 3),
        FLEET | {"rollover.for-nothing": REVIEW},
    ),
    "instance-count-of-a-fixed-fleet": (
        without_scaling,
        all_of(without_scaling, put(CONFIG, VARIANT + "InitialInstanceCount", 3)),
        FLEET,
    ),
    "instance-count-that-is-not-kept": (
        put(ENDPOINT, "RetainAllVariantProperties", False),
        all_of(
            put(ENDPOINT, "RetainAllVariantProperties", False),
            put(CONFIG, VARIANT + "InitialInstanceCount", 3),
        ),
        FLEET,
    ),
    "instance-type": (
        nothing,
        put(CONFIG, VARIANT + "InstanceType", "ml.g5.2xlarge"),
        FLEET | {"rollover.order": REVIEW},
    ),
    "start-up-shorter": (
        nothing,
        put(CONFIG, VARIANT + "ContainerStartupHealthCheckTimeoutInSeconds", 300),
        FLEET | {"rollover.timeout": REVIEW},
    ),
    "start-up-longer": (
        nothing,
        put(CONFIG, VARIANT + "ContainerStartupHealthCheckTimeoutInSeconds", 1800),
        FLEET,
    ),
    "download-not-set": (
        nothing,
        put(CONFIG, VARIANT + "ModelDataDownloadTimeoutInSeconds", None),
        FLEET | {"rollover.timeout": REVIEW},
    ),
    "driver": (nothing, put(CONFIG, VARIANT + "InferenceAmiVersion", None), FLEET),
    "routing-by-adapter": (nothing, put(CONFIG, VARIANT + "RoutingConfig", PREFIX_AWARE), FLEET),
    "threshold": (
        put(CONFIG, VARIANT + "RoutingConfig", PREFIX_AWARE),
        put(
            CONFIG,
            VARIANT + "RoutingConfig",
            PREFIX_AWARE | {"PrefixAwareRoutingConfig": {"PrefixLength": 1024, "ConcurrencyThreshold": 64}},
        ),
        FLEET,
    ),
    "routing": (nothing, put(CONFIG, VARIANT + "RoutingConfig.RoutingStrategy", "RANDOM"), FLEET),
    "volume-key": (nothing, put(CONFIG, "KmsKeyId", "arn:aws:kms:us-east-1:1:key/1"), FLEET),
    "metrics": (nothing, put(CONFIG, "MetricsConfig.EnableEnhancedMetrics", True), FLEET),
    "serverless": (
        nothing,
        put(CONFIG, VARIANT + "ServerlessConfig", {"MaxConcurrency": 1}),
        FLEET | {"unknown.property": REVIEW},
    ),
    "second-variant": (
        nothing,
        put(CONFIG, "ProductionVariants", [{"VariantName": "A"}, {"VariantName": "B"}]),
        FLEET | {"unknown.property": REVIEW},
    ),
    "async": (nothing, put(CONFIG, "AsyncInferenceConfig", {"OutputConfig": {}}), FLEET | {"unknown.property": REVIEW}),
    "capture-on": (nothing, put(CONFIG, "DataCaptureConfig", CAPTURE), FLEET | {"privacy.capture": REVIEW}),
    "capture-off": (put(CONFIG, "DataCaptureConfig", CAPTURE), nothing, FLEET | {"privacy.capture": ROUTINE}),
    "capture-more": (
        put(CONFIG, "DataCaptureConfig", CAPTURE),
        put(CONFIG, "DataCaptureConfig", CAPTURE | {"InitialSamplingPercentage": 11}),
        FLEET | {"privacy.capture": REVIEW},
    ),
    "capture-less": (
        put(CONFIG, "DataCaptureConfig", CAPTURE),
        put(CONFIG, "DataCaptureConfig", CAPTURE | {"CaptureOptions": [{"CaptureMode": "Input"}]}),
        FLEET | {"privacy.capture": ROUTINE},
    ),
    "capture-elsewhere": (
        put(CONFIG, "DataCaptureConfig", CAPTURE),
        put(CONFIG, "DataCaptureConfig", CAPTURE | {"DestinationS3Uri": "s3://other/"}),
        FLEET | {"privacy.capture": REVIEW},
    ),
    "capture-unknown": (
        put(CONFIG, "DataCaptureConfig", CAPTURE),
        put(CONFIG, "DataCaptureConfig", CAPTURE | {"KmsKeyId": "key"}),
        FLEET | {"privacy.capture": REVIEW, "unknown.property": REVIEW},
    ),
    "capture-by-a-condition": (
        put(CONFIG, "DataCaptureConfig", CAPTURE),
        put(CONFIG, "DataCaptureConfig", CAPTURE | {"InitialSamplingPercentage": {"Ref": "Percent"}}),
        FLEET | {"privacy.capture": REVIEW},
    ),
    "limit-by-a-condition": (
        env("MAX_TOTAL_TOKENS", {"Ref": "Tokens"}),
        nothing,
        FLEET | {"model.limits": REVIEW},
    ),
    "deployment-by-a-condition": (
        nothing,
        put(ENDPOINT, "DeploymentConfig", {"Fn::If": ["Fast", "x", "y"]}),
        {
            "unknown.property": REVIEW,
            "rollover.for-nothing": REVIEW,
        },
    ),
    "capture-that-is-no-object": (
        nothing,
        put(CONFIG, "DataCaptureConfig", 5),
        FLEET | {"privacy.capture": REVIEW},
    ),
    "model-renamed": (nothing, renamed(MODEL, "Model2"), FLEET),
    "config-renamed": (nothing, renamed(CONFIG, "Config2"), FLEET),
    "strategy-alone": (
        nothing,
        put(ENDPOINT, "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds", 600),
        {"rollover.strategy": ROUTINE, "rollover.for-nothing": REVIEW},
    ),
    "strategy-with-a-cause": (
        nothing,
        all_of(
            put(ENDPOINT, "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds", 600),
            env("MAX_TOTAL_TOKENS", "8192"),
        ),
        FLEET | {"rollover.strategy": ROUTINE},
    ),
    "no-pauses": (
        nothing,
        all_of(
            put(ENDPOINT, "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds", 0),
            env("MAX_TOTAL_TOKENS", "8192"),
        ),
        FLEET | {"rollover.strategy": REVIEW},
    ),
    "no-alarms": (
        nothing,
        put(ENDPOINT, "DeploymentConfig.AutoRollbackConfiguration", None),
        {"rollover.strategy": ROUTINE, "rollover.unguarded": REVIEW, "rollover.for-nothing": REVIEW},
    ),
    "fewer-alarms": (
        nothing,
        put(
            ENDPOINT,
            "DeploymentConfig.AutoRollbackConfiguration.Alarms",
            [{"AlarmName": "LoraServing-Prod-Serving-5xx"}],
        ),
        {"rollover.strategy": ROUTINE, "rollover.unguarded": REVIEW, "rollover.for-nothing": REVIEW},
    ),
    "rollback-at-once": (
        nothing,
        put(ENDPOINT, "DeploymentConfig.RollingUpdatePolicy.RollbackMaximumBatchSize", None),
        {"rollover.strategy": ROUTINE, "rollover.rollback": REVIEW, "rollover.for-nothing": REVIEW},
    ),
    "unknown-of-deployment": (
        nothing,
        put(ENDPOINT, "DeploymentConfig.Unheard", {"Of": 1}),
        {"rollover.strategy": ROUTINE, "unknown.property": REVIEW, "rollover.for-nothing": REVIEW},
    ),
    "one-becomes-rolling": (
        all_of(one_instance, put(ENDPOINT, "DeploymentConfig", ALL_AT_ONCE)),
        all_of(put(ENDPOINT, "DeploymentConfig.AutoRollbackConfiguration", None), env("DTYPE", "float16")),
        FLEET | {"rollover.strategy": ROUTINE, "rollover.order": REVIEW},
    ),
    "count-thrown-away": (
        nothing,
        put(ENDPOINT, "RetainAllVariantProperties", False),
        {"capacity.reset": REVIEW, "rollover.for-nothing": REVIEW},
    ),
    "count-of-a-fixed-fleet": (
        nothing,
        all_of(
            without_scaling,
            put(ENDPOINT, "ExcludeRetainedVariantProperties", [{"VariantPropertyType": "DesiredInstanceCount"}]),
        ),
        {"capacity.reset": ROUTINE, "rollover.for-nothing": REVIEW},
    ),
    "unknown-of-the-endpoint": (
        nothing,
        put(ENDPOINT, "RetainDeploymentConfig", True),
        {"unknown.property": REVIEW},
    ),
    "endpoint-renamed": (
        nothing,
        put(ENDPOINT, "EndpointName", "other"),
        {"identity.endpoint": BLOCK},
    ),
    "endpoint-of-another-id": (nothing, renamed(ENDPOINT, "Endpoint2"), {"identity.endpoint": BLOCK}),
    "endpoint-deleted": (nothing, removed("Serving", ENDPOINT), {"identity.endpoint": BLOCK}),
    "endpoint-new": (removed("Serving", ENDPOINT), nothing, {"identity.endpoint": REVIEW}),
    "model-of-another-stage": (
        nothing,
        put(CONFIG, VARIANT + "ModelName", "other-model"),
        FLEET | {"unknown.property": REVIEW},
    ),
    "config-by-name": (
        nothing,
        put(ENDPOINT, "EndpointConfigName", "other-config"),
        {"unknown.property": REVIEW},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def changes(prod: Stage) -> dict[str, StageComparison]:
    return compared(prod, {name: (before, after) for name, (before, after, _) in CASES.items()})


def of_serving(change: StageComparison) -> list[ReviewFinding]:
    """The findings about the endpoint's resources: autoscaling and outputs are others' topics."""
    return [
        finding
        for finding in findings(change)
        if any(each.type.startswith(TYPES) for each in finding.differences)
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_change_has_these_findings(case: str, changes: dict[str, StageComparison]) -> None:
    found = [each for each in of_serving(changes[case]) if not _is_of_another_topic(each)]
    assert {each.rule: each.level for each in found} == CASES[case][2]
    assert all(len(each.title) <= MAX_TITLE for each in found)
    assert len({each.id for each in found}) == len(found)


def _is_of_another_topic(finding: ReviewFinding) -> bool:
    """A resource that goes has attributes, on which other rules have a word."""
    return all(each.kind is Kind.ATTRIBUTE for each in finding.differences)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("nothing", "="),
        ("tokens-up", "served, rolling, ≥ 10 min"),
        ("strategy-alone", "served, rolling, ≥ 20 min"),
        ("endpoint-renamed", "fail: the endpoint is replaced"),
        ("endpoint-deleted", "fail: the endpoint is deleted"),
        ("endpoint-new", "new endpoint"),
    ],
)
def test_the_report_says_what_requests_meet(
    case: str, expected: str, changes: dict[str, StageComparison]
) -> None:
    assert requests_meanwhile(changes[case]) == expected
