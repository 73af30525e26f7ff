"""A sandbox that cannot be made says why and what to do."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from laptop_cloud.containers.sandbox.image_config import ImageConfig
from stacks.project import ROOT
from tests.harness.sandbox import SandboxedContainer
from tests.images.small_image import probe_container


def refusal(container: SandboxedContainer, path: str = os.environ["PATH"], before: Sequence[str] = ()) -> str:
    """Start it without a supervisor; return what it says. It must end with `docker run`'s status."""
    ended = subprocess.run(
        [*before, *container.spec.command()],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode == 125, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_bubblewrap_is_missing(tmp_path: Path) -> None:
    said = refusal(probe_container(tmp_path), path=str(tmp_path))
    assert said == "bubblewrap is missing (no bwrap on PATH): install it: apt-get install bubblewrap\n"


def test_a_right_is_missing(tmp_path: Path) -> None:
    # Root without CAP_SYS_ADMIN, as in a container.
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    said = refusal(probe_container(tmp_path), before=without)
    assert "run as root with CAP_SYS_ADMIN (in a container: docker run --privileged)" in said


def test_a_layer_is_missing(tmp_path: Path) -> None:
    container = SandboxedContainer([tmp_path / "none"], ImageConfig(entrypoint=("x",)), tmp_path / "instance")
    said = refusal(container)
    assert "the kernel refused an overlay file system of 1 layers: [Errno 2]" in said
    assert "modprobe overlay" in said


def test_the_port_is_taken(tmp_path: Path) -> None:
    container = probe_container(tmp_path)
    with socket.create_server(("127.0.0.1", container.client.port)):
        assert f"port {container.client.port} of 127.0.0.1 is taken" in refusal(container)


def test_aws_is_on_the_containers_port(tmp_path: Path) -> None:
    assert "start the laptop cloud on another port" in refusal(probe_container(tmp_path, aws=8080))


def test_the_image_has_no_such_program(tmp_path: Path) -> None:
    container = probe_container(tmp_path, image=ImageConfig(entrypoint=("no-such-program",))).start()
    assert container.process.wait(20) == 1
    assert container.text() == "bwrap: execvp no-such-program: No such file or directory\n"
