"""The program that the CDK CLI runs in place of `docker`, with a `buildah` that records its arguments."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from loraserve.cdk import CLI
from loraserve.images import docker_command
from loraserve.images.docker_command import PROGRAM, REGISTRY_VARIABLE, DockerCommandRefused, main
from stacks.project import DOCKER_MANIFEST

HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
ASSET = "cdkasset-e2e6aea3"
URI = f"{HOST}/cdk-hnb659fds-container-assets-111122223333-eu-west-1:e2e6aea3"
LAPTOP = {REGISTRY_VARIABLE: "127.0.0.1:4566"}


class FakeBuildah:
    """A program `buildah` that succeeds and records its arguments and its input."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "calls"
        program = folder / "buildah"
        program.write_text(
            "#!/usr/bin/env python3\nimport json, sys\n"
            f"file = open({str(self._log)!r}, 'a')\n"
            "said = sys.stdin.read() if '--password-stdin' in sys.argv else ''\n"
            "file.write(json.dumps([sys.argv[1:], said]) + '\\n')\n"
            "if 'inspect' in sys.argv: print('{\"Docker\": {}}')\n"
        )
        program.chmod(0o755)

    @property
    def calls(self) -> list[tuple[list[str], str]]:
        """Arguments and input of each call that changes something."""
        if not self._log.exists():
            return []
        calls = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [(arguments, said) for arguments, said in calls if arguments[0] not in ("info", "inspect")]


@pytest.fixture
def buildah(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBuildah:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LORASERVE_BUILDER", "buildah")
    return FakeBuildah(tmp_path)


def test_build_replaces_the_base_image_and_says_so(
    buildah: FakeBuildah, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Dockerfile").touch()
    # The arguments of the pinned CDK CLI for this project's asset.
    arguments = ["--build-arg", "VLLM_IMAGE=docker.io/vllm/vllm-openai:v0.32.0", "--tag", ASSET]
    arguments += ["--file", "Dockerfile", "--platform", "linux/amd64", f"--output={DOCKER_MANIFEST}"]
    arguments.append(str(tmp_path))
    assert main(["build", *arguments], LAPTOP, "") == 0
    [(given, _)] = buildah.calls
    said = capsys.readouterr().out
    stand_in = next(word for word in said.split() if word.startswith("localhost/lora-serving/stand-in-vllm:"))
    assert f"VLLM_IMAGE={stand_in}" in given
    assert not [word for word in given if "docker.io" in word]
    assert said.endswith("replaces docker.io/vllm/vllm-openai:v0.32.0\n")
    assert given[given.index("--tag") + 1] == ASSET
    assert given[-1] == str(tmp_path)


def test_the_registry_of_ecr_is_the_laptop_clouds(buildah: FakeBuildah) -> None:
    assert main(["login", "--username", "AWS", "--password-stdin", HOST], LAPTOP, "secret\n") == 0
    assert main(["tag", ASSET, URI], LAPTOP, "") == 0
    assert main(["push", URI], LAPTOP, "") == 0
    (login, password), tag, _, (push, _), _ = buildah.calls
    assert (login[-1], password) == ("127.0.0.1:4566", "secret")
    assert not any("secret" in word for word in login)
    assert tag[0] == ["tag", ASSET, URI]
    assert [word.removeprefix("docker://") for word in push[-2:]] == [
        URI,
        URI.replace(HOST, "127.0.0.1:4566"),
    ]


def test_nothing_stays_in_the_builders_store(buildah: FakeBuildah) -> None:
    main(["tag", ASSET, URI], LAPTOP, "")
    main(["push", URI], LAPTOP, "")
    removed = [arguments[-1] for arguments, _ in buildah.calls if arguments[0] == "rmi"]
    assert removed == [ASSET, URI]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["push", "docker.io/library/debian:12"], LAPTOP, "not in a registry of ECR"),
        (["push", "ghcr.io/x/y:1"], LAPTOP, "not in a registry of ECR"),
        (["login", "--username", "AWS", "--password-stdin", "docker.io"], LAPTOP, "not in a registry of ECR"),
        (["tag", ASSET, "docker.io/me/mine:1"], LAPTOP, "not in a registry of ECR"),
        (["push", URI], {}, r"LAPTOP_REGISTRY=\(not set\): set it to the laptop cloud's address"),
        (["push", URI], {REGISTRY_VARIABLE: "198.51.100.7:4566"}, "pushed nowhere else"),
        (["push", URI], {REGISTRY_VARIABLE: "example.com:4566"}, "pushed nowhere else"),
        (["push", "--all-tags", URI], LAPTOP, "--all-tags is not among the arguments of the pinned CDK CLI"),
    ],
)
def test_anything_else_is_refused(
    buildah: FakeBuildah, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(DockerCommandRefused, match=message):
        main(arguments, environment, "")
    assert buildah.calls == []


def test_an_image_is_always_built(buildah: FakeBuildah) -> None:
    assert main(["inspect", ASSET], LAPTOP, "") == 1
    images = ["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=*/*:e2e6aea3"]
    assert main(images, LAPTOP, "") == 0
    assert buildah.calls == []


def test_the_program_runs_in_any_directory(buildah: FakeBuildah, tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "push", "docker.io/x/y:1"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("docker.io/x/y:1 is not in a registry of ECR")


def test_the_commands_are_those_of_the_pinned_cdk_cli() -> None:
    """An update of the CLI may call others: read `Docker` in lib/index.js, and change the docstring."""
    package = json.loads((CLI.parent.parent / "package.json").read_text())
    assert f"aws-cdk {package['version']})" in " ".join((docker_command.__doc__ or "").split())
