"""Each fault of account, CDK, Docker and stacks changes its line to ✗, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from laptop_cloud.cloud import LaptopCloud
from loraserve.aws import Client
from loraserve.cdk import cdk
from loraserve.doctor.catalog import CREDENTIALS, catalog
from loraserve.doctor.deployment import Deployment, synthesize
from loraserve.doctor.diagnosis import findings
from loraserve.finding import Finding, State
from stacks.config.loading import load_stages
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT
from tests.harness.docker import FakeDocker
from tests.harness.waiting import wait_until
from tests.local.cloud import echo_container

ACCOUNT = "000000000000"
TYPE = "ml.g5.xlarge"
QUOTA = f"{TYPE} for endpoint usage"
ENDPOINT = "LoraServing-Dev-Serving"
LOGS = f"/aws/sagemaker/Endpoints/{ENDPOINT}"
#: The laptop cloud's EC2 has no DescribeInstanceTypeOfferings, IAM simulates no root user, and the size of an
#: image is not known before its pull. No Hub answers.
NOT_CHECKED = {"instance type", "permissions", "disk for the image", "base model", "adapter sources"}


@dataclass(frozen=True)
class Account:
    """A laptop cloud as a new account that everything is prepared in, and the stage `dev` for it."""

    cloud: LaptopCloud
    stage: LoadedStage
    deployment: Deployment

    def states(self, stage: LoadedStage | None = None, client: Client | None = None) -> dict[str, Finding]:
        """Run all checks but `synth`; the findings by name."""
        entries = [CREDENTIALS, *catalog(self.deployment)]
        used = stage or self.stage
        lines = [line for entry in entries for line in findings(entry, used, client or self.cloud.client)]
        assert len({line.check for line in lines}) == len(lines), "two findings have the same name"
        return {line.check: line for line in lines}

    def user(self, *statements: dict[str, Any]) -> Client:
        """Create an IAM user with a policy and return the factory of its clients."""
        iam, name = self.cloud.client("iam"), f"user{len(statements)}-{abs(hash(str(statements))) % 10**8}"
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.client_of(key["AccessKeyId"], key["SecretAccessKey"])

    def client_of(self, key: str, secret: str) -> Client:
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
        return lambda service: session.client(service, endpoint_url=self.cloud.url)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The stage `dev` in a bootstrapped account with quota."""
    folder = tmp_path_factory.mktemp("doctor")
    images = {"localhost/echo": [sys.executable, echo_container.__file__]}
    with LaptopCloud(folder / "cloud", images=images, enforce_iam=True) as cloud:
        target = f"aws://{ACCOUNT}/us-east-1"
        cdk("bootstrap", target, "-c", "stage=dev", environment=cloud.environment, output=folder / "b")
        cloud.grant_quota(QUOTA, 4)
        [stage] = load_stages(ROOT / "stages", "dev")
        # Nothing listens there: the sources are tested separately.
        stage = with_config(stage, hub_endpoint="http://127.0.0.1:9")
        yield Account(cloud, stage, synthesize("dev", folder / "cdk.out"))


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDocker]:
    with pytest.MonkeyPatch.context() as patch:
        yield FakeDocker(tmp_path_factory.mktemp("docker"), patch)


@pytest.fixture(scope="module")
def healthy(account: Account, docker: FakeDocker) -> dict[str, Finding]:
    """The findings without a fault."""
    return account.states()


def changed(healthy: dict[str, Finding], now: dict[str, Finding]) -> set[str]:
    """Return the findings with ✗; all others must be as without the fault."""
    bad = {name for name, line in now.items() if line.state is State.PROBLEM}
    others = {name: line.state for name, line in now.items() if name not in bad}
    assert others.items() <= {name: line.state for name, line in healthy.items()}.items()
    assert all(now[name].remedy and now[name].found for name in bad)
    return bad


def test_a_prepared_account_has_no_problem(healthy: dict[str, Finding]) -> None:
    states = {name: line.state for name, line in healthy.items()}
    assert {name for name, state in states.items() if state is not State.OK} == NOT_CHECKED
    assert len(states) >= 18
    assert not any(line.remedy for line in healthy.values() if line.state is State.OK)


def test_credentials_of_another_account(account: Account, healthy: dict[str, Finding]) -> None:
    stage = with_config(account.stage, account="111111111111")
    assert changed(healthy, account.states(stage)) == {"account"}


def test_credentials_that_aws_does_not_know(account: Account) -> None:
    lines = findings(CREDENTIALS, account.stage, account.client_of("AKIAIOSFODNN7EXAMPLE", "wrong"))
    [line] = lines
    assert line.check == "credentials" and line.state is State.PROBLEM
    assert "not known in us-east-1" in line.found


def test_a_region_without_sagemaker(account: Account) -> None:
    lines = account.states(with_config(account.stage, region="us-east-3"))
    assert lines["SageMaker"].state is State.PROBLEM
    assert "us-east-1" in lines["SageMaker"].found or "us-east-2" in lines["SageMaker"].found


@pytest.mark.parametrize("value", [0, 1])
def test_a_quota_that_is_too_small(account: Account, healthy: dict[str, Finding], value: int) -> None:
    account.cloud.grant_quota(QUOTA, value)
    try:
        now = account.states()
    finally:
        account.cloud.grant_quota(QUOTA, 4)
    assert changed(healthy, now) == {"instance quota"}
    line = now["instance quota"]
    assert line.found.startswith(f"{value} in us-east-1") and "need 1, and 2 during an update" in line.found
    assert "request-service-quota-increase" in line.remedy and "--desired-value 4" in line.remedy
    code = line.remedy.split("--quota-code ")[1].split()[0]
    assert account.cloud.client("service-quotas").get_service_quota(
        ServiceCode="sagemaker", QuotaCode=code
    )["Quota"]["QuotaName"] == QUOTA  # fmt: skip


def test_a_quota_that_only_the_largest_fleet_exceeds_is_not_a_problem(account: Account) -> None:
    account.cloud.grant_quota(QUOTA, 2)
    try:
        line = account.states()["instance quota"]
    finally:
        account.cloud.grant_quota(QUOTA, 4)
    assert line.state is State.OK and "the largest fleet, 2, would need 4" in line.found


def test_a_new_account_and_its_open_request(account: Account) -> None:
    stage = with_config(account.stage, endpoint={"instance_type": "ml.g6.xlarge"})
    line = account.states(stage)["instance quota"]
    assert line.state is State.PROBLEM and "0 (the default)" in line.found
    code = line.remedy.split("--quota-code ")[1].split()[0]
    account.cloud.client("service-quotas").request_service_quota_increase(
        ServiceCode="sagemaker", QuotaCode=code, DesiredValue=4
    )
    assert "a request for 4 is PENDING" in account.states(stage)["instance quota"].remedy


def test_instances_of_other_endpoints_count(account: Account, healthy: dict[str, Finding]) -> None:
    with endpoint(account, "other", instances=3):
        now = account.states()
    assert changed(healthy, now) == {"instance quota"}
    assert "other endpoints use 3" in now["instance quota"].found


def test_an_account_without_bootstrap(account: Account, healthy: dict[str, Finding]) -> None:
    with version(account, None):
        now = account.states()
    assert changed(healthy, now) == {"bootstrap"}
    assert "make bootstrap STAGE=dev" in now["bootstrap"].remedy


def test_an_old_bootstrap(account: Account, healthy: dict[str, Finding]) -> None:
    with version(account, "5"):
        now = account.states()
    assert changed(healthy, now) == {"bootstrap"}
    assert "version 5" in now["bootstrap"].found


def test_a_deleted_bucket_of_assets(account: Account, healthy: dict[str, Finding]) -> None:
    s3, bucket = account.cloud.client("s3"), f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1"
    s3.delete_bucket(Bucket=bucket)
    try:
        now = account.states()
    finally:
        s3.create_bucket(Bucket=bucket)
    assert changed(healthy, now) == {"bucket of assets"}


def test_a_deleted_image_repository(account: Account, healthy: dict[str, Finding]) -> None:
    ecr, name = account.cloud.client("ecr"), f"cdk-hnb659fds-container-assets-{ACCOUNT}-us-east-1"
    ecr.delete_repository(repositoryName=name, force=True)
    try:
        now = account.states()
    finally:
        ecr.create_repository(repositoryName=name)
    assert changed(healthy, now) == {"image repository"}


def test_docker_that_does_not_run(
    account: Account, docker: FakeDocker, healthy: dict[str, Finding], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        FakeDocker(tmp_path / "bin", patch).has_no_server()
        assert changed(healthy, account.states()) == {"Docker"}


def test_a_log_group_in_the_way(account: Account, healthy: dict[str, Finding]) -> None:
    logs = account.cloud.client("logs")
    # A name that only begins like it is not in the way.
    logs.create_log_group(logGroupName=f"{LOGS}2")
    assert changed(healthy, account.states()) == set()
    logs.create_log_group(logGroupName=LOGS)
    try:
        now = account.states()
    finally:
        logs.delete_log_group(logGroupName=LOGS)
    assert changed(healthy, now) == {"names: LogGroup"}
    assert f"aws logs delete-log-group --log-group-name {LOGS}" in now["names: LogGroup"].remedy


def test_an_alarm_and_a_dashboard_in_the_way(account: Account, healthy: dict[str, Finding]) -> None:
    cloudwatch = account.cloud.client("cloudwatch")
    with alarm(account, f"{ENDPOINT}-5xx"):
        cloudwatch.put_dashboard(DashboardName=ENDPOINT, DashboardBody='{"widgets": []}')
        try:
            now = account.states()
        finally:
            cloudwatch.delete_dashboards(DashboardNames=[ENDPOINT])
    assert changed(healthy, now) == {"names: Alarm", "names: Dashboard"}
    assert f"{ENDPOINT}-5xx" in now["names: Alarm"].found


def test_an_endpoint_in_the_way(account: Account, healthy: dict[str, Finding]) -> None:
    with endpoint(account, ENDPOINT):
        now = account.states()
    assert changed(healthy, now) == {"names: Endpoint"}
    assert "is InService" in now["endpoint"].found


def test_an_alarm_that_would_roll_the_update_back(account: Account, healthy: dict[str, Finding]) -> None:
    [properties] = account.deployment.resources("AWS::SageMaker::Endpoint")
    name = properties["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"][0]["AlarmName"]
    with endpoint(account, ENDPOINT), alarm(account, name, "ALARM"):
        now = account.states()
    # Both are in the way, too: they are not of the stage's stacks.
    assert changed(healthy, now) == {"names: Endpoint", "names: Alarm", "rollback alarms"}
    assert name in now["rollback alarms"].found


def test_an_endpoint_that_failed(account: Account, healthy: dict[str, Finding]) -> None:
    with endpoint(account, ENDPOINT, image="localhost/no-such-image:1", status="Failed"):
        now = account.states()
    assert changed(healthy, now) == {"names: Endpoint", "endpoint"}


def test_resources_of_the_stage_s_own_stacks_are_not_in_the_way(
    account: Account, healthy: dict[str, Finding]
) -> None:
    kinds = {
        "AWS::Logs::LogGroup": {"LogGroupName": LOGS},
        "AWS::CloudWatch::Dashboard": {"DashboardName": ENDPOINT, "DashboardBody": '{"widgets": []}'},
    }
    with stack(account, "LoraServing-Dev-Observability", kinds):
        now = account.states()
    assert changed(healthy, now) == set()
    assert now["names: LogGroup"].found == "0 free, 1 of the stage's stacks"
    assert "is CREATE_COMPLETE" in now["stack Observability"].found


def test_a_first_deployment_that_failed_is_repaired_by_the_next(
    account: Account, healthy: dict[str, Finding]
) -> None:
    kinds = {"AWS::SageMaker::Endpoint": {"EndpointName": "failing", "EndpointConfigName": "missing"}}
    with stack(account, "LoraServing-Dev-Serving", kinds):
        now = account.states()
    assert changed(healthy, now) == set()
    assert "ROLLBACK_COMPLETE" in now["stack Serving"].found


def test_permissions_of_an_administrator(account: Account, healthy: dict[str, Finding]) -> None:
    now = account.states(client=account.user(allow("*")))
    assert changed(healthy, {**now, "permissions": healthy["permissions"]}) == set()
    assert now["permissions"].state is State.OK


@pytest.mark.parametrize(
    "missing",
    ["sts:AssumeRole", "cloudformation:UpdateTerminationProtection", "sagemaker:DescribeEndpointConfig"],
)
def test_a_caller_without_a_permission(account: Account, healthy: dict[str, Finding], missing: str) -> None:
    client = account.user(allow("*"), {"Effect": "Deny", "Action": missing, "Resource": "*"})
    now = account.states(client=client)
    line = now.pop("permissions")
    assert line.state is State.PROBLEM and missing in line.found
    assert changed(healthy, now) == set()


def test_the_role_of_a_session_is_simulated(account: Account) -> None:
    iam = account.cloud.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName="Deployer",
        Path="/people/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]
    policy = {"Version": "2012-10-17", "Statement": [allow("iam:*", "sts:GetCallerIdentity", "ssm:*")]}
    iam.put_role_policy(RoleName="Deployer", PolicyName="p", PolicyDocument=json.dumps(policy))
    session = account.cloud.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")[
        "Credentials"
    ]
    boto = boto3.Session(
        session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"], "us-east-1"
    )
    now = account.states(client=lambda service: boto.client(service, endpoint_url=account.cloud.url))
    assert now["permissions"].state is State.PROBLEM
    assert role["Arn"] in now["permissions"].found and "cdk-hnb659fds-deploy-role" in now["permissions"].found


def test_what_the_caller_may_not_ask_is_never_ok(account: Account, docker: FakeDocker) -> None:
    now = account.states(client=account.user(allow("sts:GetCallerIdentity")))
    asked = {name for name, line in now.items() if line.state is State.OK}
    # Of the machine and the SDK's tables.
    machine = {"Docker", "build for linux/amd64"}
    # The laptop cloud enforces no permissions on SageMaker, Service Quotas and Account Management; without an
    # endpoint the alarms are not asked for.
    emulator = {"instance quota", "endpoint", "rollback alarms", "region"}
    assert asked <= {"credentials", "account", "SageMaker", *machine, *emulator}
    assert not [name for name, line in now.items() if line.state is State.PROBLEM]
    assert "GetParameter answered AccessDenied" in now["bootstrap"].found


def test_a_missing_permissions_boundary(account: Account, healthy: dict[str, Finding]) -> None:
    stage = with_config(account.stage, security={"permissions_boundary": "team-boundary"})
    assert changed(healthy, account.states(stage)) == {"permissions boundary"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("*")]})
    account.cloud.client("iam").create_policy(PolicyName="team-boundary", PolicyDocument=document)
    assert account.states(stage)["permissions boundary"].state is State.OK


def test_the_command_and_its_document(
    account: Account, healthy: dict[str, Finding], docker: FakeDocker
) -> None:
    done = run(account, "dev", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert document["stage"] == "dev" and document["summary"]["problem"] == 0
    assert sum(document["summary"].values()) == len(document["findings"])
    assert set(document["findings"][0]) == {"group", "check", "state", "found", "remedy"}
    states = {line["check"]: line["state"] for line in document["findings"]}
    assert states.pop("synth") == "ok"
    expected = {name: line.state for name, line in healthy.items()}
    assert {name: states[name] for name in expected} == expected


def test_the_command_fails_with_a_problem(account: Account, docker: FakeDocker) -> None:
    account.cloud.grant_quota(QUOTA, 0)
    try:
        done = run(account, "dev")
    finally:
        account.cloud.grant_quota(QUOTA, 4)
    assert done.returncode == 1
    assert "✗  instance quota" in done.stdout and "1 ✗" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.endswith(" ")]


def test_the_local_stage_is_refused(account: Account) -> None:
    done = run(account, "local")
    assert done.returncode == 2 and "make up" in done.stderr


def test_without_credentials_nothing_of_the_account_is_asked(account: Account, docker: FakeDocker) -> None:
    done = run(account, "dev", "--json", "--profile", "no-such-profile")
    lines = {line["check"]: line for line in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert lines["credentials"]["state"] == "problem" and "no-such-profile" in lines["credentials"]["found"]
    assert lines["bootstrap"]["state"] == "unknown" and "no usable credentials" in lines["bootstrap"]["found"]
    assert [name for name, line in lines.items() if line["state"] == "problem"] == ["credentials"]


def run(account: Account, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the laptop cloud as its AWS."""
    return subprocess.run(
        [sys.executable, "-m", "loraserve", "doctor", *arguments],
        cwd=ROOT, env=account.cloud.environment | {"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def with_config(stage: LoadedStage, **overlay: Any) -> LoadedStage:
    """Change keys of the stage's configuration; sections are merged."""
    config = stage.config
    merged = {
        key: getattr(config, key).model_copy(update=value) if isinstance(value, dict) else value
        for key, value in overlay.items()
    }
    return stage.model_copy(update={"config": config.model_copy(update=merged)})


def allow(*actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


@contextmanager
def version(account: Account, value: str | None) -> Iterator[None]:
    """Change the bootstrap's version in SSM, or remove it."""
    ssm, name = account.cloud.client("ssm"), "/cdk-bootstrap/hnb659fds/version"
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ssm.delete_parameter(Name=name)
    try:
        if value is not None:
            ssm.put_parameter(Name=name, Value=value, Type="String")
        yield
    finally:
        ssm.put_parameter(Name=name, Value=before, Type="String", Overwrite=True)


@contextmanager
def alarm(account: Account, name: str, state: str = "OK") -> Iterator[None]:
    cloudwatch = account.cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")
    try:
        yield
    finally:
        cloudwatch.delete_alarms(AlarmNames=[name])


@contextmanager
def endpoint(
    account: Account,
    name: str,
    *,
    instances: int = 1,
    image: str = "localhost/echo:test",
    status: str = "InService",
) -> Iterator[None]:
    """Create an endpoint outside of the stage's stacks and wait for its status."""
    sagemaker = account.cloud.client("sagemaker")
    role = f"arn:aws:iam::{ACCOUNT}:role/{execution_role(account)}"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": image})
    variant = {
        "VariantName": "Main", "ModelName": name, "InstanceType": TYPE, "InitialInstanceCount": instances
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    try:
        wait_until(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == status, status)
        yield
    finally:
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
        sagemaker.delete_model(ModelName=name)


def execution_role(account: Account) -> str:
    """Create the role of the endpoints, once."""
    iam = account.cloud.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="execution", AssumeRolePolicyDocument=document)
    return "execution"


@contextmanager
def stack(account: Account, name: str, kinds: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Create a stack with a resource of each type; it may fail."""
    cloudformation = account.cloud.client("cloudformation")
    resources = {f"R{n}": {"Type": kind, "Properties": p} for n, (kind, p) in enumerate(kinds.items())}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    try:
        wait_until(lambda: ended(cloudformation, name), f"{name} has ended")
        yield
    finally:
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def ended(cloudformation: Any, name: str) -> bool:
    [found] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return not found["StackStatus"].endswith("_IN_PROGRESS")
