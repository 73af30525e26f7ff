"""Updates of a deployed stage under load: each test edits the stage file and deploys.

Each test continues from the state that the previous one leaves. The engine is the LoRAX double, behind the
real gateway.
"""

from __future__ import annotations

import io
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adapters.store.layout import revision_of
from container.gateway.telemetry import names
from laptop_cloud.cloud import LaptopCloud
from loraserve.cdk import CdkError
from loraserve.cdk_arguments import cdk_arguments
from loraserve.client import EndpointClient, InvocationError
from loraserve.deploy import deploy
from loraserve.finding import State
from loraserve.verify.capacity import check_capacity
from loraserve.verify.expected import expected_of_assembly, expected_of_stacks
from loraserve.verify.registry import read_registry
from loraserve.verify.repair import repair
from loraserve.verify.serving import SilentRollback, require_config
from loraserve.verify.verification import verify
from samples.problems import SEED_PROBLEM, check
from stacks.serving.serving_stack import VARIANT
from tests.harness.waiting import wait_until
from tests.local.updates.inventory import everything
from tests.local.updates.served import ClientThreads
from tests.local.updates.stage import Stage

CONTAINER = [sys.executable, "-m", "tests.contract.lorax_container", "serve"]
FIRST, SECOND, BROKEN = "localhost/first:1", "localhost/second:1", "localhost/broken:1"
REGISTRY_CACHE_S = 0.5
FILE: dict[str, Any] = {
    "account": "000000000000",
    "image": FIRST,
    "base_model": {"name": "tiny-mistral", "path": "samples/base"},
    "engine": {
        "max_input_tokens": 256,
        "max_total_tokens": 512,
        # More tokens than any answer of an adapter; the base model generates until the limit.
        "default_new_tokens": 60,
        "max_new_tokens": 256,
        "max_adapter_rank": 8,
    },
    "gateway": {"adapter_cache_gb": 1, "registry_cache_seconds": REGISTRY_CACHE_S, "metrics_seconds": 1},
    "endpoint": {"instance_type": "ml.g5.xlarge"},
    "autoscaling": {"max_instances": 3},
    # An update is under load before, during and after its pauses.
    "rollout": {"bake_seconds": 1, "step_seconds": 1},
    "observability": {"log_retention_days": 1},
}


@pytest.fixture(scope="module")
def cause_is_ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file without which the image `BROKEN` does not start."""
    return tmp_path_factory.mktemp("broken") / "cause-is-ended"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, cause_is_ended: Path) -> Iterator[LaptopCloud]:
    broken = ["sh", "-c", f"test -e {cause_is_ended} && exec {shlex.join(CONTAINER)}"]
    images = {"localhost/first": CONTAINER, "localhost/second": CONTAINER, "localhost/broken": broken}
    with LaptopCloud(tmp_path_factory.mktemp("laptop"), images=images) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stages")


@pytest.fixture(scope="module")
def brief(cloud: LaptopCloud, folder: Path) -> Stage:
    """A stage without retained resources."""
    return Stage(cloud, folder, "brief", {**FILE, "retain_data": False}, ["otter"])


@pytest.fixture(scope="module")
def before(cloud: LaptopCloud, lab_file: Stage) -> set[tuple[str, str]]:
    """The resources before the first deploy: those of `cdk bootstrap`."""
    lab_file.cdk("bootstrap", "aws://000000000000/us-east-1", "--context", "stage=lab")
    return everything(cloud)


@pytest.fixture(scope="module")
def lab_file(cloud: LaptopCloud, folder: Path) -> Stage:
    protected = {**FILE, "retain_data": True, "termination_protection": True}
    return Stage(cloud, folder, "lab", protected, ["otter", "heron", "badger"])


@pytest.fixture(scope="module")
def lab(lab_file: Stage, brief: Stage, before: set[tuple[str, str]]) -> Stage:
    """The deployed stage that the tests change."""
    stages = (f"{lab_file.id}/*", f"{brief.id}/*")
    lab_file.cdk("deploy", *stages, "--require-approval", "never", "--concurrency", "2")
    return lab_file


def answers(stage: Stage, adapter: str) -> bool:
    """Return True if an adapter is served; raise every error except "adapter not found"."""
    try:
        text = stage.client.generate(SEED_PROBLEM.prompt, adapter=adapter).text
    except InvocationError as error:
        assert (error.status, error.error_type) == (404, "adapter_not_found")
        return False
    return check(text, SEED_PROBLEM, adapter).right_answer


def definitions(stage: Stage) -> tuple[set[str], set[str]]:
    """Return the names of all models and endpoint configurations."""
    models = stage.sagemaker.list_models()["Models"]
    configs = stage.sagemaker.list_endpoint_configs()["EndpointConfigs"]
    return {m["ModelName"] for m in models}, {c["EndpointConfigName"] for c in configs}


def test_a_new_setting_is_an_update_in_place_that_loses_no_request(lab: Stage) -> None:
    created, config, (models, configs) = lab.described()["CreationTime"], lab.config(), definitions(lab)
    lab.edit(engine={"default_new_tokens": 61})
    with lab.callers() as callers:
        lab.deploy()
    assert callers.lost == []
    assert (callers.tokens[0], callers.tokens[-1]) == (60, 61)
    assert lab.described()["CreationTime"] == created
    new_models, new_configs = definitions(lab)
    assert lab.config() in new_configs - configs
    # One was created for the one that was deleted.
    assert config not in new_configs
    assert (len(new_models), len(new_models - models)) == (len(models), 1)
    assert len(new_configs) == len(configs)


def test_number_of_instances_that_autoscaling_chose_outlives_a_new_image(lab: Stage) -> None:
    lab.scale(2)
    lab.edit(image=SECOND)
    with lab.callers() as callers:
        lab.deploy()
    assert callers.lost == []
    assert lab.count() == 2
    [variant] = lab.described()["ProductionVariants"]
    assert variant["DeployedImages"][0]["SpecifiedImage"] == SECOND


def test_a_new_list_of_adapters_does_not_touch_the_endpoint(lab: Stage) -> None:
    described = lab.described()
    assert (answers(lab, "badger"), answers(lab, "falcon")) == (True, False)
    lab.list_adapters("otter", "heron")
    with lab.callers() as callers:
        lab.list_adapters("otter", "heron", "falcon")
        lab.deploy()
        time.sleep(REGISTRY_CACHE_S)
        assert (answers(lab, "badger"), answers(lab, "falcon")) == (False, True)
    assert callers.lost == []
    same = ("EndpointConfigName", "LastModifiedTime")
    assert [lab.described()[key] for key in same] == [described[key] for key in same]


def test_make_deploy_brings_an_endpoint_of_one_instance_to_its_new_least_number(lab: Stage) -> None:
    lab.scale(1)
    lab.edit(endpoint={"instance_count": 2}, autoscaling={"min_instances": 2})
    with lab.callers() as callers:
        output = make_deploy(lab, lab.cdk)
    assert callers.lost == []
    assert f"{lab.endpoint}: it gets 2 instances before the update" in output
    assert "RollingUpdatePolicy" in lab.described()["LastDeploymentConfig"]
    assert lab.limits() == (2, 3)
    assert lab.count() == 2


def verified(stage: Stage, **changes: Any) -> list[tuple[State, str, str]]:
    """Verify a stage by its stacks, with `changes` of what is expected; return what is not OK.

    Alarms are left out: the updates before put the machine under load, which may be what raised one.
    """
    expected = replace(expected_of_stacks(stage.loaded.target, stage.boto3), **changes)
    found = [line.finding for line in verify(stage.loaded.target, stage.boto3, expected)]
    return [
        (one.state, one.check, one.found)
        for one in found
        if one.state is not State.OK and one.check != "alarm"
    ]


def problems(stage: Stage, **changes: Any) -> list[str]:
    return [found for state, _, found in verified(stage, **changes) if state is State.PROBLEM]


def test_a_deployed_stage_is_verified(lab: Stage) -> None:
    # An image that is a process of this machine has no digest.
    assert [check for _, check, _ in verified(lab)] == ["image"]


def test_an_adapter_that_answers_with_another_revision_is_found(lab: Stage) -> None:
    registry = read_registry(lab.loaded.target, lab.boto3)
    digests = {name: entry.digest for name, entry in registry.entries.items()}
    assert problems(lab, adapters=digests) == []
    wrong = problems(lab, adapters=digests | {"otter": "0" * 64})
    answered = f"otter is answered by otter@{revision_of(digests['otter'])}, and its revision is 0000"
    assert any(found.startswith(answered) for found in wrong)


def make_deploy(stage: Stage, run: Callable[..., object]) -> str:
    """Run `make deploy` of a stage with `run` as the CDK CLI; return its output."""
    output = io.StringIO()
    console = Console(file=output, width=500)
    arguments = cdk_arguments("deploy", "lab", ["--require-approval", "never", "--ci"])
    run("synth", "--quiet", *arguments.common)
    deploy(console, stage.loaded.target, stage.boto3, run, stage.assembly, arguments)
    return output.getvalue()


def test_an_alarm_during_an_update_takes_it_back_and_fails_deployment(lab: Stage) -> None:
    config, alarm = lab.config(), f"{lab.endpoint}-wrong-adapter"
    # Long enough for an alarm on a busy machine; the alarm ends the pause.
    lab.edit(engine={"default_new_tokens": 62}, rollout={"step_seconds": 60})
    with lab.callers() as callers, ThreadPoolExecutor(1) as engineer:
        deployment = engineer.submit(lab.deploy)
        wait_until(lambda: deployment.done() or 62 in callers.tokens, "the first batch serves", seconds=120)
        emit_wrong_adapter(lab)
        with pytest.raises(CdkError) as failed:
            deployment.result()
    assert f"alarm {alarm} is in state ALARM" in said(failed.value)
    assert f"{config} stays in force" in said(failed.value)
    assert callers.lost == []
    assert callers.tokens[-1] == 61
    assert lab.status("Serving") == "UPDATE_ROLLBACK_COMPLETE"
    assert (lab.config(), lab.count()) == (config, 2)


def said(error: CdkError) -> str:
    """Return the output of the CDK CLI without line breaks and indents."""
    return " ".join(str(error).split())


def alarm_state(lab: Stage, alarm: str) -> str:
    found = lab.boto3("cloudwatch").describe_alarms(AlarmNames=[f"{lab.endpoint}-{alarm}"])
    return str(found["MetricAlarms"][0]["StateValue"])


def emit_wrong_adapter(lab: Stage) -> None:
    """Emit the metric as an instance would; a state set by hand lasts until the next evaluation."""
    dimensions = {names.ENDPOINT: lab.endpoint, names.VARIANT: VARIANT}
    datum = {
        "MetricName": names.WRONG_ADAPTERS,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Value": 1.0,
    }
    lab.boto3("cloudwatch").put_metric_data(Namespace=names.NAMESPACE, MetricData=[datum])


def test_a_fleet_of_two_is_replaced_in_batches(lab: Stage) -> None:
    wait_until(lambda: alarm_state(lab, "wrong-adapter") == "OK", "the alarm is over", seconds=90)
    lab.edit(rollout={"step_seconds": 1})
    with lab.callers() as callers:
        lab.deploy()
    assert callers.lost == []
    assert callers.tokens[-1] == 62
    assert "RollingUpdatePolicy" in lab.described()["LastDeploymentConfig"]
    assert lab.count() == 2
    assert lab.status("Serving") == "UPDATE_COMPLETE"


def test_another_instance_type_is_refused_as_long_as_endpoint_is_scaled(lab: Stage) -> None:
    config = lab.config()
    lab.edit(endpoint={"instance_type": "ml.g5.2xlarge"})
    with lab.callers() as callers, pytest.raises(CdkError) as refused:
        lab.deploy()
    assert "first deregister its scalable target" in said(refused.value)
    assert callers.lost == []
    assert (lab.config(), lab.limits()) == (config, (2, 3))
    assert lab.status("Serving") == "UPDATE_ROLLBACK_COMPLETE"


def test_make_deploy_takes_autoscaling_away_for_another_instance_type(lab: Stage) -> None:
    limits = []

    def run(*arguments: str) -> None:
        assert "--ci" in arguments, "a global option is of every call"
        lab.cdk(*arguments)
        limits.append((arguments[0], lab.limits()))
        if arguments[0] == "destroy":
            expected = expected_of_assembly(lab.assembly, lab.loaded.target)
            found = list(check_capacity(lab.loaded.target, lab.boto3, expected))
            assert [one.check for one in found if one.state is State.PROBLEM] == ["autoscaling"]

    with lab.callers() as callers:
        output = make_deploy(lab, run)
    assert callers.lost == []
    assert limits == [("synth", (2, 3)), ("destroy", None), ("deploy", (2, 3))]
    assert f"{lab.endpoint}: ml.g5.xlarge becomes ml.g5.2xlarge" in output
    config = lab.sagemaker.describe_endpoint_config(EndpointConfigName=lab.config())
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.g5.2xlarge"
    assert lab.count() == 2


TOO_FEW: dict[str, Any] = {
    "endpoint": {"instance_count": 1},
    "autoscaling": {"min_instances": 1},
    "rollout": {"strategy": "rolling"},
}
TOO_LARGE: dict[str, Any] = {
    "base_model": {"name": "mistralai/Mixtral-8x7B-v0.1", "path": None, "revision": "0" * 40},
    "adapters": "lab/none.yaml",
}


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (TOO_FEW, "lab.yaml: rollout: strategy: rolling replaces half of a fleet at most"),
        (TOO_LARGE, "lab.yaml: endpoint.instance_type: the model needs 90.0 GiB"),
    ],
    ids=["too few instances", "too large a model"],
)
def test_an_error_is_reported_before_anything_is_changed(
    cloud: LaptopCloud, folder: Path, lab: Stage, overlay: dict[str, Any], message: str
) -> None:
    (folder / "lab" / "none.yaml").write_text("adapters: []")
    file, there = lab.file, everything(cloud)
    lab.edit(**overlay)
    with pytest.raises(CdkError) as refused:
        lab.cdk("deploy", f"{lab.id}/*", "--context", "stage=lab", "--require-approval", "never")
    lab.write(file)
    assert message in said(refused.value)
    assert "Traceback" not in str(refused.value)
    assert everything(cloud) == there


@contextmanager
def broken(lab: Stage, *adapters: str) -> Iterator[None]:
    """Have the weights of adapters missing in the bucket."""
    s3 = lab.boto3("s3")
    [bucket] = [
        each["Name"]
        for each in s3.list_buckets()["Buckets"]
        if each["Name"].startswith(f"loraserving-{lab.id.lower()}-")
    ]
    prefixes = tuple(f"adapters/{name}/" for name in adapters)
    found = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    keys = [key for key in found if key.startswith(prefixes) and key.endswith(".safetensors")]
    contents = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    yield
    for key, content in contents.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)


class Insisting(ClientThreads):
    """Clients that request adapters continuously, whatever the answer is."""

    def __init__(self, client: EndpointClient, *adapters: str) -> None:
        self._client, self._adapters = client, adapters
        super().__init__(len(adapters))

    def _ask(self, number: int) -> None:
        while not self._stop.wait(0.2):
            with suppress(InvocationError):
                self._client.generate(SEED_PROBLEM.prompt, adapter=self._adapters[number])


def test_one_broken_adapter_that_is_requested_all_the_time_holds_up_no_update(lab: Stage) -> None:
    lab.edit(engine={"default_new_tokens": 63})
    with broken(lab, "otter"), Insisting(lab.client, "otter", "heron", "falcon"):
        lab.deploy()
        wait_until(lambda: alarm_state(lab, "adapter-loads") == "ALARM", "the failed loads are notified")
        lab.edit(engine={"default_new_tokens": 64})
        lab.deploy()
        assert alarm_state(lab, "adapter-loads") == "ALARM"
    assert alarm_state(lab, "failing-adapters") == "OK"
    assert lab.status("Serving") == "UPDATE_COMPLETE"


def test_a_fleet_that_cannot_load_adapters_is_rolled_back(lab: Stage) -> None:
    file, config = lab.file, lab.config()
    # Long enough for the metrics; the alarm ends the pause.
    lab.edit(engine={"default_new_tokens": 65}, rollout={"step_seconds": 60})
    everyone = ("otter", "heron", "falcon")
    with broken(lab, *everyone), Insisting(lab.client, *everyone), pytest.raises(CdkError) as failed:
        lab.deploy()
    lab.write(file)
    assert f"alarm {lab.endpoint}-failing-adapters is in state ALARM" in said(failed.value)
    assert lab.config() == config


def silently_rolled_back(lab: Stage, cloud: LaptopCloud, *, keeps_config: bool) -> str:
    """Deploy an image that does not start, with CloudFormation's report that it does; return the error."""
    cloud.hide_rollbacks(keeps_config=keeps_config)
    lab.deploy()
    cloud.hide_rollbacks(False)
    with pytest.raises(SilentRollback) as found:
        require_config(Console(file=io.StringIO()), lab.loaded.target, lab.boto3)
    assert lab.status("Serving") == "UPDATE_COMPLETE"
    return str(found.value)


def test_a_rollback_that_cloudformation_does_not_report_is_found_and_repaired(
    cloud: LaptopCloud, lab: Stage, cause_is_ended: Path
) -> None:
    config = lab.config()
    # The alarm of the broken adapter, which a test before has raised, would roll the repair back.
    lab.edit(image=BROKEN, rollout={**lab.file["rollout"], "rollback_on_alarms": False})
    said = silently_rolled_back(lab, cloud, keeps_config=True)
    assert f"serves the config {config}, which still exists" in said
    assert lab.described().get("FailureReason") is None
    assert problems(lab) == [said.partition(": a plain deployment")[0]]
    cause_is_ended.touch()
    repair(Console(file=io.StringIO()), lab.loaded.target, lab.boto3)
    assert lab.config() != config
    assert problems(lab) == []
    [kept] = lab.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    lab.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    lab.sagemaker.delete_model(ModelName=kept["ModelName"])


def test_an_endpoint_whose_config_is_deleted_is_deployed_again(
    cloud: LaptopCloud, lab: Stage, cause_is_ended: Path
) -> None:
    config = lab.config()
    cause_is_ended.unlink()
    lab.edit(engine={"default_new_tokens": 66})
    assert f"serves the config {config}, which is deleted" in silently_rolled_back(
        lab, cloud, keeps_config=False
    )
    assert config not in definitions(lab)[1]
    cause_is_ended.touch()
    lab.edit(engine={"default_new_tokens": 67})
    with lab.callers() as callers:
        output = make_deploy(lab, lab.cdk)
    assert callers.lost == []
    assert callers.tokens[-1] == 67
    assert f"the unknown type of a deleted config becomes {lab.file['endpoint']['instance_type']}" in output
    assert problems(lab) == []


def test_a_protected_stage_cannot_be_destroyed(cloud: LaptopCloud, lab: Stage) -> None:
    there = everything(cloud)
    with pytest.raises(CdkError, match="TerminationProtection"):
        lab.cdk("destroy", f"{lab.id}/*", "--force", *lab.synthesized())
    assert everything(cloud) == there


def test_destroy_leaves_bucket_and_key_if_data_is_to_be_retained_and_nothing_otherwise(
    cloud: LaptopCloud, lab: Stage, brief: Stage, before: set[tuple[str, str]]
) -> None:
    lab.edit(termination_protection=False)
    lab.deploy()
    both = (f"{lab.id}/*", f"{brief.id}/*")
    lab.cdk("destroy", *both, "--force", "--concurrency", "2", *lab.synthesized())
    # The seeder's last call is logged after its end; the log group, already deleted, is created again.
    left = {(kind, name) for kind, name in everything(cloud) - before if "/ProviderLogs" not in name}
    assert sorted(kind for kind, _ in left) == ["Buckets", "Keys"]
    [bucket] = [name for kind, name in left if kind == "Buckets"]
    assert bucket.startswith("loraserving-lab-")
    objects = cloud.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    kept = {item["Key"].split("/")[1] for item in objects if item["Key"].startswith("adapters/")}
    assert kept == {"otter", "heron", "badger", "falcon"}
