"""Docker's answers, as findings."""

import time
from pathlib import Path

import pytest

from loraserve.doctor.checks import docker
from loraserve.doctor.deployment import Deployment, ImageBuild
from loraserve.finding import Finding, State
from stacks.config.loading import load_stages
from stacks.config.stage_config import LoadedStage
from stacks.project import ROOT
from tests.harness.docker import INFO, FakeDocker

IMAGE = ImageBuild("linux/amd64", "ghcr.io/predibase/lorax:0.12.1")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    return FakeDocker(tmp_path / "bin", monkeypatch)


@pytest.fixture(scope="module")
def stage() -> LoadedStage:
    [stage] = load_stages(ROOT / "stages", "dev")
    return stage


def found(stage: LoadedStage, *images: ImageBuild) -> dict[str, Finding]:
    def client(service: str) -> None:
        raise AssertionError(f"Docker needs no {service}")

    deployment = Deployment((), "", 0, (), (), (), images)
    return {finding.check: finding for finding in docker.check(deployment, stage, client)}


def test_docker_on_this_machine_builds_natively(stage: LoadedStage, program: FakeDocker) -> None:
    lines = found(stage, IMAGE)
    assert lines["Docker"].state is State.OK and "28.2.2, linux/amd64" in lines["Docker"].found
    assert lines["build for linux/amd64"].state is State.OK
    # The size of the image is not known, so the disk is never ✓.
    assert lines["disk for the image"].state is State.UNKNOWN
    assert "GiB free in /" in lines["disk for the image"].found


def test_without_an_image_to_build_docker_is_not_asked(stage: LoadedStage, program: FakeDocker) -> None:
    program.has_no_server()
    assert [finding.state for finding in found(stage).values()] == [State.OK]


def test_a_server_that_does_not_run(stage: LoadedStage, program: FakeDocker) -> None:
    program.has_no_server()
    lines = found(stage, IMAGE)
    assert list(lines) == ["Docker"] and lines["Docker"].state is State.PROBLEM
    assert "Is the docker daemon running?" in lines["Docker"].found


def test_errors_of_the_server_in_the_answer(stage: LoadedStage, program: FakeDocker) -> None:
    program.answers({**INFO, "ServerErrors": ["permission denied while trying to connect"]})
    assert found(stage, IMAGE)["Docker"].state is State.PROBLEM


def test_no_docker_at_all(stage: LoadedStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DOCKER", "no-such-program")
    line = found(stage, IMAGE)["Docker"]
    assert line.state is State.PROBLEM and "no-such-program" in line.found


def test_another_program_by_cdk_docker(
    stage: LoadedStage, program: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "docker").rename(tmp_path / "bin" / "finch")
    monkeypatch.setenv("CDK_DOCKER", "finch")
    assert "finch answers" in found(stage, IMAGE)["Docker"].found


def test_a_program_that_hangs(
    stage: LoadedStage, program: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "_SECONDS", 0.3)
    program.write("exec sleep 30")
    began = time.monotonic()
    assert "no answer within" in found(stage, IMAGE)["Docker"].found
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("platforms", "state"),
    [
        ("linux/arm64, linux/amd64, linux/amd64/v2, linux/386", State.OK),
        ("linux/arm64*, linux/amd64*", State.OK),
        ("linux/arm64, linux/arm/v7", State.PROBLEM),
        (None, State.UNKNOWN),
    ],
)
def test_an_arm_machine_needs_emulation(
    stage: LoadedStage, program: FakeDocker, platforms: str | None, state: State
) -> None:
    program.answers({**INFO, "Architecture": "aarch64"}, platforms)
    line = found(stage, IMAGE)["build for linux/amd64"]
    assert line.state is state
    if state is State.PROBLEM:
        assert "binfmt --install amd64" in line.remedy


def test_windows_containers(stage: LoadedStage, program: FakeDocker) -> None:
    program.answers({**INFO, "OSType": "windows"})
    assert found(stage, IMAGE)["build for linux/amd64"].state is State.PROBLEM


@pytest.mark.parametrize(
    "elsewhere", [{"OperatingSystem": "Docker Desktop"}, {"Name": "colima"}, {"DockerRootDir": "/no/such"}]
)
def test_the_disk_of_another_machine_is_not_reported(
    stage: LoadedStage, program: FakeDocker, elsewhere: dict[str, str]
) -> None:
    program.answers({**INFO, **elsewhere})
    line = found(stage, IMAGE)["disk for the image"]
    assert line.state is State.UNKNOWN and "GiB" not in line.found


def test_podman_s_answer() -> None:
    daemon = docker.parse_info(
        '{"host": {"arch": "amd64", "os": "linux"}, "store": {"graphRoot": "/var/lib/containers/storage"},'
        ' "version": {"Version": "5.4.2"}}'
    )
    assert (daemon.system, daemon.architecture, daemon.version) == ("linux", "amd64", "5.4.2")
    assert daemon.is_podman


def test_podman_is_refused_with_the_way_that_works(
    stage: LoadedStage, program: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.answers({"host": {"arch": "amd64", "os": "linux"}, "version": {"Version": "5.4.2"}})
    (tmp_path / "bin" / "docker").rename(tmp_path / "bin" / "podman")
    monkeypatch.setenv("CDK_DOCKER", "podman")
    line = found(stage, IMAGE)["Docker"]
    assert line.state is State.PROBLEM
    assert "podman push --format v2s2" in (line.remedy or "")
