"""docs/first-deploy.md, run: each of its commands in its order, in a clone, with the laptop cloud as the account.

The stage `dev` of the clone serves the sample model with vLLM's CPU build; everything else is as documented.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from laptop_cloud.cloud import LaptopCloud
from stacks.project import ROOT
from tests.harness.working_copy import working_copy

#: On a slow shared machine the engine alone starts in five minutes, which raises an alarm that is waited for.
pytestmark = pytest.mark.timeout(1800)

PAGE = ROOT / "docs" / "first-deploy.md"
#: Instead of the answers that a person types.
UNATTENDED = {"deploy": "ARGS=--require-approval=never", "destroy": "ARGS=--force"}


def commands() -> list[str]:
    """Return the commands of the page: its indented lines."""
    return [line.strip() for line in PAGE.read_text().splitlines() if re.match(r" {4,}\S", line)]


def command(beginning: str, containing: str = "") -> str:
    """Return the page's command that begins and continues like this."""
    (found,) = (line for line in commands() if line.startswith(beginning) and containing in line)
    return found


@dataclass(frozen=True)
class Engineer:
    """A platform engineer in a clone, with credentials of the laptop cloud's account."""

    cloud: LaptopCloud
    clone: Path

    def run(self, line: str, *, expected: int = 0) -> str:
        """Run a line in a shell; return what it printed."""
        target = line.split()[1] if line.startswith("make ") else ""
        argument = f" {UNATTENDED[target]}" if target in UNATTENDED else ""
        # The AWS CLI of the tests' clients, and no make variable of the process that runs the tests.
        path = f"{ROOT / '.venv-clients' / 'bin'}{os.pathsep}{self.cloud.environment['PATH']}"
        unset = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "STAGE", "PROMPT", "ADAPTER", "ARGS"}
        environment = {name: value for name, value in self.cloud.environment.items() if name not in unset}
        done = subprocess.run(
            ["bash", "-c", line + argument],
            cwd=self.clone,
            env=environment | {"PATH": path, "PYTHONPATH": str(self.clone)},
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert done.returncode == expected, f"{line}\n{output}"
        return output


@pytest.fixture(scope="module")
def engineer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engineer]:
    clone = working_copy(tmp_path_factory.mktemp("first-deploy") / "clone")
    local = yaml.safe_load((clone / "stages" / "local.yaml").read_text())
    dev = yaml.safe_load((clone / "stages" / "dev.yaml").read_text())
    (clone / "stages" / "dev.yaml").write_text(
        yaml.safe_dump(
            dev | {name: local[name] for name in ("engine", "gateway", "image", "base_model", "rollout")}
        )
    )
    manifest = {"name": "gsm8k", "source": "../../samples/adapters/otter", "copies": 50}
    (clone / "stages" / "adapters" / "gsm8k.yaml").write_text(yaml.safe_dump({"adapters": [manifest]}))
    with LaptopCloud(tmp_path_factory.mktemp("account")) as cloud:
        trusted = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        }  # fmt: skip
        cloud.client("iam").create_role(
            RoleName="my-application", AssumeRolePolicyDocument=json.dumps(trusted)
        )
        yield Engineer(cloud, clone)


def test_every_command_of_the_page_is_run_here() -> None:
    run = [line for line in commands() if not line.startswith("aws secretsmanager")]
    assert len(run) == 10
    assert {line.split()[1] for line in run if line.startswith("make ")} == {
        "bootstrap", "doctor", "deploy", "invoke", "destroy",
    }  # fmt: skip


def test_in_a_new_account_the_doctor_names_bootstrap_and_quota(engineer: Engineer) -> None:
    output = " ".join(engineer.run(command("make doctor"), expected=2).split())
    assert "make bootstrap STAGE=dev" in output
    assert "aws service-quotas request-service-quota-increase" in output
    engineer.cloud.grant_quota("ml.g5.xlarge for endpoint usage", 2)


def test_the_token_is_stored(engineer: Engineer) -> None:
    engineer.run(f"HF_TOKEN=hf_test; {command('aws secretsmanager')}")
    secret = engineer.cloud.client("secretsmanager").get_secret_value(SecretId="lora-serving/hub-token")
    assert secret["SecretString"] == "hf_test"


def test_three_commands_lead_to_an_answering_endpoint(engineer: Engineer) -> None:
    engineer.run(command("make bootstrap"))
    engineer.run(command("make doctor"))
    engineer.run(command("make deploy"))
    base, adapter = (line for line in commands() if line.startswith("make invoke"))
    assert engineer.run(base) != engineer.run(adapter)


def test_an_application_invokes_the_endpoint(engineer: Engineer) -> None:
    engineer.run(command("aws iam attach-role-policy"))
    engineer.run(command("printf"))
    engineer.run(command("aws sagemaker-runtime"))
    (answer,) = json.loads((engineer.clone / "answer.json").read_text())
    assert answer["generated_text"]


def test_a_stage_in_use_is_not_torn_down(engineer: Engineer) -> None:
    output = engineer.run(command("make destroy"), expected=2)
    assert "is attached to role my-application: detach it" in output


def test_the_tear_down_leaves_nothing_of_the_stage(engineer: Engineer) -> None:
    engineer.run(command("aws iam detach-role-policy"))
    output = engineer.run(command("make destroy"))
    assert "kept: the images and files" in output
    stacks = engineer.cloud.client("cloudformation").describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in stacks] == ["CDKToolkit"]
    buckets = [bucket["Name"] for bucket in engineer.cloud.client("s3").list_buckets()["Buckets"]]
    assert all(name.startswith("cdk-") for name in buckets), buckets
