"""A sandbox's process reads the container that was written for it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from laptop_cloud.containers.sandbox import bubblewrap
from laptop_cloud.containers.sandbox.filesystem import SandboxFiles
from laptop_cloud.containers.sandbox.image_config import ImageConfig
from laptop_cloud.containers.sandbox.spec import SandboxSpec


def spec(directory: Path) -> SandboxSpec:
    return SandboxSpec(
        layers=(Path("/layers/upper"), Path("/layers/lower")),
        image=ImageConfig(entrypoint=("a", "b"), cmd=("c",), env={"PATH": "/bin", "X": "image"}),
        environment={"X": "model", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
        directory=directory,
        port=1234,
        endpoint_port=4566,
        mounts={"/opt/packages": Path("/packages")},
        root_bytes=10**6,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    command = spec(tmp_path).command()
    assert command[:3] == [sys.executable, "-m", "laptop_cloud.containers.sandbox"]
    assert SandboxSpec.read(Path(command[3])) == spec(tmp_path)


def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    file = Path(spec(tmp_path).command()[3])
    assert file.stat().st_mode & 0o077 == 0


def test_variables_of_the_container_override_the_images(tmp_path: Path) -> None:
    made = bubblewrap.environment(spec(tmp_path), "a-name")
    assert made == {
        "PATH": "/bin",
        "HOSTNAME": "a-name",
        "HOME": "/root",
        "X": "model",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    }
    bare = replace(spec(tmp_path), image=ImageConfig())
    assert bubblewrap.environment(bare, "n")["PATH"].startswith("/usr/local/sbin:")


def test_options_hold_no_user_namespace_and_no_network_namespace(tmp_path: Path) -> None:
    # The container is root as on SageMaker, and its network is made before bubblewrap starts.
    options = bubblewrap.options(spec(tmp_path), SandboxFiles(tmp_path), "a-name", info=3)
    assert not {"--unshare-all", "--unshare-user", "--unshare-net"} & set(options)
    mount = options.index("/opt/packages")
    assert options[mount - 2 : mount] == ["--ro-bind", "/packages"]
