"""A container's environment, run as a process or in a sandbox."""

from __future__ import annotations

from pathlib import Path

from laptop_cloud.api.account import Account
from laptop_cloud.containers.runtime import ProcessRuntime, SandboxRuntime
from laptop_cloud.containers.sandbox.image_config import ImageConfig
from laptop_cloud.containers.sandbox.spec import SandboxSpec

URL = "http://127.0.0.1:4566"


def test_a_process_gets_the_hosts_ports_and_directories(tmp_path: Path) -> None:
    start = ProcessRuntime(
        command=["run"],
        environment={"MODEL": "m"},
        account=Account("1", "us-east-1"),
        endpoint_url=URL,
        credentials={"TOKEN": "t"},
    ).prepare(tmp_path)
    assert start.command == ["run"]
    assert start.environment is not None
    assert start.url == f"http://127.0.0.1:{start.environment['SAGEMAKER_BIND_TO_PORT']}"
    for variable in ("HOME", "TMPDIR", "ADAPTER_CACHE_DIR", "SM_MODEL_DIR"):
        assert Path(start.environment[variable]).is_dir()


def test_a_sandbox_gets_sagemakers_environment_alone(tmp_path: Path) -> None:
    start = SandboxRuntime(
        layers=(Path("/layer"),),
        image=ImageConfig(entrypoint=("run",)),
        environment={"MODEL": "m", "AWS_ENDPOINT_URL": "http://elsewhere"},
        endpoint_url=URL,
        credentials={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/t"},
        mounts={"/opt/packages": Path("/packages")},
    ).prepare(tmp_path)
    spec = SandboxSpec.read(Path(start.command[-1]))
    assert start.url == f"http://127.0.0.1:{spec.port}"
    assert spec.endpoint_port == 4566
    assert spec.mounts == {"/opt/packages": Path("/packages")}
    assert spec.environment == {
        "MODEL": "m",
        "AWS_ENDPOINT_URL": URL,
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/t",
    }
    assert (tmp_path / "tmp").is_dir()
