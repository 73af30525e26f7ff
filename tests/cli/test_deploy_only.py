"""The set-up for deployments: a fresh copy with these packages alone runs every command that AWS needs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from laptop_cloud.aws_isolation import aws_variables
from laptop_cloud.cloud import LaptopCloud
from loraserve.cli.commands import ADAPTER_COMMANDS, COMMANDS
from loraserve.setup.packages import pins
from stacks.facts import FACTS_FILE
from tests.harness.rooms import DEPLOYED, GRADIO
from tests.harness.working_copy import ENVIRONMENT, commit, copy

#: Commands of the laptop cloud, which this set-up does not have.
LAPTOP = ("demo", "up", "down")
IMPORTS = f"""
import importlib, pkgutil
for room in {DEPLOYED}:
    package = importlib.import_module(room)
    for found in pkgutil.walk_packages(package.__path__, room + "."):
        if not found.name.endswith(".__main__"):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                print(found.name)
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the working tree, set up by `make setup`."""
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    copy(folder)
    commit(folder)
    done = make(folder, "setup")
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)  # 600 MB


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def loraserve(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(folder / ".venv" / "bin" / "python"), "-m", "loraserve", *arguments]
    environment = ENVIRONMENT | variables
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_only_the_packages_of_a_deployment_are_installed(fresh: Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(fresh / ".venv"), "list", "--format", "json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    installed = {canonicalize_name(package["name"]): package["version"] for package in listed}
    installed.pop("pip", None)  # of each new environment
    del installed["lora-serving-sagemaker"]  # this project, with its command
    assert {f"{name}=={version}" for name, version in installed.items()} == set(pins(["requirements.txt"]))


def test_each_room_but_the_laptop_clouds_can_be_imported(fresh: Path) -> None:
    python = str(fresh / ".venv" / "bin" / "python")
    done = subprocess.run(
        [python, "-c", IMPORTS], cwd=fresh, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {
        *("loraserve.local_stage", "loraserve.demo.demo", "loraserve.demo.html_report"),
        *(name for name in GRADIO if not name.endswith("__main__")),
    }


def test_a_second_set_up_does_nothing(fresh: Path) -> None:
    done = make(fresh, "setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_synth_writes_the_templates_the_facts_and_the_cost(fresh: Path) -> None:
    done = make(fresh, "synth", "STAGE=dev")
    assert done.returncode == 0, done.stderr
    assert "Dev: about USD per month" in done.stderr
    assert (fresh / "cdk.out" / "manifest.json").is_file()
    facts = json.loads((fresh / "cdk.out" / FACTS_FILE).read_text())
    assert list(facts["stages"]) == ["Dev"]


def test_diff_compares_with_the_last_commit(fresh: Path) -> None:
    done = make(fresh, "diff", "STAGE=dev")
    assert done.returncode == 0, done.stderr
    assert "There were no differences" in done.stdout


def test_an_adapter_is_checked_published_and_listed(fresh: Path, tmp_path: Path) -> None:
    """Against the S3 of a laptop cloud, which runs in the environment of the tests."""
    stage = fresh / "stages" / "mine.yaml"
    stage.write_text((fresh / "stages" / "local.yaml").read_text())
    with LaptopCloud(tmp_path / "laptop") as cloud:
        cloud.client("s3").create_bucket(Bucket="store")
        variables = aws_variables(cloud.url)
        for arguments in (["validate", "samples/adapters/otter"], ["publish", "samples/adapters/otter", "--name", "otter"],
                          ["list"]):  # fmt: skip
            done = loraserve(
                fresh, "adapters", "--stage", "mine", "--bucket", "store", *arguments, **variables
            )
            assert done.returncode == 0, done.stderr
            assert "otter" in done.stdout
    stage.unlink()


def test_an_unusable_stage_file_is_the_last_thing_that_is_printed(fresh: Path) -> None:
    stage = fresh / "stages" / "broken.yaml"
    stage.write_text((fresh / "stages" / "dev.yaml").read_text().replace("region:", "regoin:"))
    try:
        for arguments in (["synth", "STAGE=broken"], ["diff", "STAGE=broken"], ["bootstrap", "STAGE=broken"],
                          ["deploy", "STAGE=broken"]):  # fmt: skip
            done = make(fresh, *arguments)
            reported = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
            assert done.returncode == 2
            assert "broken.yaml: regoin: unknown key, did you mean 'region'" in reported[-1], arguments
            assert "Subprocess exited" not in done.stderr
    finally:
        stage.unlink()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in LAPTOP])
def test_each_command_has_its_help(fresh: Path, name: str) -> None:
    done = loraserve(fresh, name.replace("_", "-"), "--help")
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout


@pytest.mark.parametrize("name", ADAPTER_COMMANDS)
def test_each_command_on_adapters_has_its_help(fresh: Path, name: str) -> None:
    done = loraserve(fresh, "adapters", name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout


def test_a_command_on_adapters_asks_aws_and_not_the_laptop_cloud(fresh: Path) -> None:
    done = loraserve(fresh, "adapters", "--stage", "dev", "list")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "credentials" in done.stderr


@pytest.mark.parametrize("name", LAPTOP)
def test_a_command_of_the_laptop_cloud_names_the_set_up_that_it_needs(fresh: Path, name: str) -> None:
    done = loraserve(fresh, name)
    assert done.returncode == 1
    assert "run `make setup-laptop`" in done.stderr
    assert "Traceback" not in done.stderr
