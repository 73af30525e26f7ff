"""The commands that each builder gets, by programs of these names that write down what they are asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loraserve.images.builders import Buildah, Builder, Docker, NoBuilder, Podman, find_builder
from loraserve.images.processes import ProgramFailed

DOCKER = '[{"Id": "sha256:abc", "Size": 7, "RootFS": {"Layers": ["sha256:1"]}, "Config": {"Cmd": null}}]'
BUILDAH = (
    '{"FromImageID": "abc", "Manifest": "{\\"layers\\": [{\\"size\\": 3}, {\\"size\\": 4}]}", '
    '"Docker": {"rootfs": {"diff_ids": ["sha256:1"]}, "config": {"Cmd": null}}}'
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("LORASERVE_BUILDER", "BUILDAH_ISOLATION"):
        monkeypatch.delenv(name, raising=False)
    return folder


def program(folder: Path, name: str, answer: str = "", code: int = 0) -> Path:
    """Write a program that logs its arguments and standard input."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"log = open({str(folder / 'log')!r}, 'a')\n"
        "print(*sys.argv[1:], file=log)\n"
        "if '--password-stdin' in sys.argv: print(sys.stdin.read(), file=log)\n"
        f"print({answer!r})\nsys.exit({code})\n"
    )
    path.chmod(0o755)
    return path


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (Docker, "buildx build --provenance=false --sbom=false SOURCE_DATE_EPOCH=0 type=docker,oci-mediatypes=false"),
        (Podman, "build --layers=false --format docker --timestamp 0 --ignorefile"),
        (Buildah, "build --isolation chroot --layers=false --format docker --timestamp 0 --ignorefile"),
    ],
)  # fmt: skip
def test_a_build_is_for_sagemakers_platform_in_dockers_format_without_times(
    programs: Path, tmp_path: Path, builder: type[Builder], words: str
) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.with_name("Dockerfile.dockerignore").write_text("*\n")
    seen: list[str] = []
    builder(str(program(programs, builder.name, "STEP 1"))).build(
        dockerfile=dockerfile, context=tmp_path, tag="a/b:1", build_args={"A": "1 2"},
        secrets={"ca.pem": tmp_path / "ca"}, on_line=seen.append,
    )  # fmt: skip
    command = log(programs)[-1]
    common = f"--tag a/b:1 --platform linux/amd64 --build-arg A=1 2 --secret id=ca.pem,src={tmp_path}/ca"
    for word in [*words.split(), *common.split()]:
        assert word in command.split()
    assert command.split()[-1] == str(tmp_path)
    assert seen == ["STEP 1"]


@pytest.mark.parametrize(
    ("driver", "output"),
    [
        ("docker", "type=docker,oci-mediatypes=false"),
        ("docker-container", "type=docker,oci-mediatypes=false,rewrite-timestamp=true"),
    ],
)
def test_docker_rewrites_times_where_its_driver_can(
    programs: Path, tmp_path: Path, driver: str, output: str
) -> None:
    docker = program(programs, "docker", f"Name:   default\nDriver: {driver}\n\nNodes:\nName: default")
    Docker(str(docker)).build(dockerfile=tmp_path / "Dockerfile", context=tmp_path, tag="a")
    words = log(programs)[-1].split()
    assert words[words.index("--output") + 1] == output


@pytest.mark.parametrize(("builder", "answer"), [(Docker, DOCKER), (Podman, DOCKER), (Buildah, BUILDAH)])
def test_facts_of_an_image(programs: Path, builder: type[Builder], answer: str) -> None:
    found = builder(str(program(programs, builder.name, answer)))
    assert found.has("a")
    assert (found.diff_ids("a"), found.image_id("a"), found.size("a")) == (("sha256:1",), "sha256:abc", 7)
    assert found.config("a") == {"Cmd": None}
    program(programs, builder.name, code=1)
    assert not found.has("a")


@pytest.mark.parametrize("builder", [Podman, Buildah])
def test_a_push_has_dockers_manifest_and_plain_http_only_where_it_is_asked_for(
    programs: Path, builder: type[Builder]
) -> None:
    found = builder(str(program(programs, builder.name)))
    found.push("a", "registry/a:1")
    found.push("a", "registry/a:1", tls=False)
    found.login("registry", "AWS", "secret", tls=False)
    assert log(programs)[:3] == [
        "push --format v2s2 --tls-verify=true a registry/a:1",
        "push --format v2s2 --tls-verify=false a registry/a:1",
        "login --tls-verify=false --username AWS --password-stdin registry",
    ]
    # Other users of the machine see the arguments of a process.
    assert log(programs)[3] == "secret"


def test_docker_is_logged_in_by_standard_input_and_pushes_a_tag(programs: Path) -> None:
    found = Docker(str(program(programs, "docker")))
    found.login("registry", "AWS", "secret")
    found.push("a", "registry/a:1")
    assert log(programs) == [
        *("login --username AWS --password-stdin registry", "secret"),
        *("tag a registry/a:1", "push registry/a:1"),
    ]


def test_the_first_builder_that_works_is_taken(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "docker", code=1)
    program(programs, "buildah")
    assert isinstance(find_builder(), Buildah)
    program(programs, "podman")
    assert type(find_builder()) is Podman
    program(programs, "docker")
    assert type(find_builder()) is Docker
    monkeypatch.setenv("LORASERVE_BUILDER", "buildah")
    assert isinstance(find_builder(), Buildah)


def test_without_a_builder_the_error_has_each_reason_and_the_remedy(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "docker", code=1)
    with pytest.raises(NoBuilder) as found:
        find_builder()
    for words in ("docker does not work (run `docker info`)", "podman is not installed",
                  "buildah is not installed", "apt-get install buildah"):  # fmt: skip
        assert words in str(found.value)
    monkeypatch.setenv("LORASERVE_BUILDER", "kaniko")
    with pytest.raises(NoBuilder, match="LORASERVE_BUILDER=kaniko: use docker, podman, buildah"):
        find_builder()


def test_a_failed_build_reports_the_end_of_its_output(programs: Path, tmp_path: Path) -> None:
    builder = Buildah(str(program(programs, "buildah", "no space left on device", code=125)))
    with pytest.raises(ProgramFailed, match=r"(?s)^buildah build failed.*no space left on device$"):
        builder.build(dockerfile=tmp_path / "Dockerfile", context=tmp_path, tag="a:1")


def test_a_base_image_that_cannot_be_pulled_is_one_error_with_the_reason_and_the_remedy(
    programs: Path,
) -> None:
    path = programs / "buildah"
    path.write_text(
        '#!/bin/sh\n[ "$1" = info ] || { echo "Trying to pull"; echo "no such host" >&2; exit 125; }\n'
    )
    path.chmod(0o755)
    command = [sys.executable, "-m", "loraserve", "build-images", "--engine", "vllm"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "✗" in line]
    assert len(errors) == 1
    assert "cannot be pulled: no such host" in errors[0]
    assert errors[0].endswith("make images ENGINE=vllm BASE=stand-in")


def test_the_command_reports_a_missing_builder_and_a_wrong_engine_in_a_sentence(programs: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "loraserve", "build-images", *arguments]
        return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)

    missing, wrong = run(), run("--engine", "tgi")
    assert missing.returncode == 1
    assert "nothing here builds images" in missing.stderr
    assert wrong.returncode == 2
    assert "use lorax or vllm" in wrong.stderr
