"""Real images on the laptop: the machine, and the CDK CLI's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loraserve import local_stage
from loraserve.cli import up
from loraserve.images import laptop, tools
from loraserve.images.laptop import ImagesUnavailable, cdk_environment, check_machine


def test_a_machine_without_the_tools_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be started")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(local_stage, "start", started)
    monkeypatch.setattr(local_stage, "running", started)
    with pytest.raises(ImagesUnavailable) as refused:
        up.command(images=up.Images.REAL)
    said = str(refused.value)
    assert said.startswith("--images real: ")
    if os.uname().sysname == "Linux":
        assert "apt-get install --no-install-recommends buildah bubblewrap debootstrap" in said
    assert said.endswith("By default (make up) a container is a process, without them")


def test_an_environment_with_another_python_than_the_images_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tools, "refusal", lambda: None)
    monkeypatch.setattr(laptop.sys, "version_info", (3, 12, 1))
    with pytest.raises(ImagesUnavailable, match=r"remove \.venv and run make with PYTHON=python3\.11"):
        check_machine()
    monkeypatch.setattr(laptop.sys, "version_info", (3, 11, 9))
    check_machine()


def test_the_token_is_in_a_folder_that_ends_with_the_deployment() -> None:
    with cdk_environment({"AWS_REGION": "us-east-1"}, "127.0.0.1:4566") as environment:
        assert environment["AWS_REGION"] == "us-east-1"
        assert environment["LAPTOP_REGISTRY"] == "127.0.0.1:4566"
        assert os.access(environment["CDK_DOCKER"], os.X_OK)
        folder = Path(environment["DOCKER_CONFIG"])
        assert folder.stat().st_mode & 0o077 == 0
        assert Path(environment["REGISTRY_AUTH_FILE"]).parent == folder
    assert not folder.exists()
