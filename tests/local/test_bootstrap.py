"""`loraserve bootstrap` against a laptop cloud: the stage's account and region, and no other."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from laptop_cloud.aws_isolation import aws_variables, client_config
from laptop_cloud.cloud import LaptopCloud
from stacks.project import ROOT
from tests.harness.working_copy import ENVIRONMENT, copy

ACCOUNT, OTHER = "000000000000", "111111111111"
REGION = "eu-west-1"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """A laptop cloud of this file: the bootstraps would show in the shared one."""
    with LaptopCloud(tmp_path_factory.mktemp("laptop")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree with three more stages: in the account, without account, in another account."""
    folder = tmp_path_factory.mktemp("copy") / "clone"
    copy(folder)
    for name in (".venv", "node_modules"):
        (folder / name).symlink_to(ROOT / name)
    text = (folder / "stages" / "local.yaml").read_text().replace("us-east-1", REGION)
    account = f'account: "{ACCOUNT}"\n'
    assert account in text
    for stage, line in (("here", account), ("free", ""), ("elsewhere", f'account: "{OTHER}"\n')):
        (folder / "stages" / f"{stage}.yaml").write_text(text.replace(account, line))
    return folder


def bootstrap(
    cloud: LaptopCloud, clone: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    # us-east-1 is the region of the shell, and not the stage's.
    environment = ENVIRONMENT | {"PYTHONPATH": str(clone)} | aws_variables(cloud.url) | variables
    environment = {name: value for name, value in environment.items() if value}
    command = [sys.executable, "-m", "loraserve", "bootstrap", *arguments]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)


def toolkits(cloud: LaptopCloud, name: str = "CDKToolkit") -> set[tuple[str, str]]:
    """The accounts and regions that have a bootstrap stack of this name."""
    found = set()
    for account in (ACCOUNT, OTHER):
        for region in ("us-east-1", REGION, "us-west-2"):
            session = boto3.Session(account, "local", region_name=region)
            client: Any = session.client("cloudformation", endpoint_url=cloud.url, config=client_config())
            try:
                client.describe_stacks(StackName=name)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ValidationError", error
            else:
                found.add((account, region))
    return found


def test_an_account_that_is_not_the_stages_is_refused(cloud: LaptopCloud, clone: Path) -> None:
    before = toolkits(cloud)
    done = bootstrap(cloud, clone, "elsewhere")
    assert done.returncode == 1
    assert f"the credentials are for account {ACCOUNT}" in done.stderr
    assert f"stages/elsewhere.yaml is for {OTHER}" in done.stderr
    assert "cdk bootstrap" not in done.stdout
    assert toolkits(cloud) == before


def test_credentials_that_are_missing_are_reported_in_one_line(cloud: LaptopCloud, clone: Path) -> None:
    done = bootstrap(cloud, clone, "here", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.returncode == 1
    assert done.stderr.startswith("✗ credentials: there are none: sign in")


def test_the_stages_account_and_region_are_bootstrapped_and_no_other(cloud: LaptopCloud, clone: Path) -> None:
    assert toolkits(cloud) == set()
    done = bootstrap(cloud, clone, "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"cdk bootstrap of account {ACCOUNT}, region {REGION}" in done.stdout
    assert toolkits(cloud) == {(ACCOUNT, REGION)}
    # The stages of the app have the other regions: they were not taken for environments.
    assert f"aws://{ACCOUNT}/{REGION}" in done.stdout + done.stderr


def test_a_stage_without_account_takes_the_one_of_the_profile(
    cloud: LaptopCloud, clone: Path, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[sandbox]\naws_access_key_id = {OTHER}\naws_secret_access_key = local\n")
    configuration = tmp_path / "config"
    configuration.write_text("[profile sandbox]\nregion = us-west-2\n")
    done = bootstrap(
        cloud,
        clone,
        "free",
        "--profile",
        "sandbox",
        "--toolkit-stack-name",
        "Toolkit",
        AWS_SHARED_CREDENTIALS_FILE=str(credentials),
        AWS_CONFIG_FILE=str(configuration),
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_REGION="",
        AWS_DEFAULT_REGION="",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # The further arguments reach the CLI, and the region is the stage's, not the profile's.
    assert toolkits(cloud, "Toolkit") == {(OTHER, REGION)}


def test_an_unknown_profile_is_reported_in_one_line(cloud: LaptopCloud, clone: Path) -> None:
    done = bootstrap(cloud, clone, "here", "--profile", "absent")
    assert done.returncode == 1
    assert "The config profile (absent) could not be found" in done.stderr
    assert "Traceback" not in done.stderr
