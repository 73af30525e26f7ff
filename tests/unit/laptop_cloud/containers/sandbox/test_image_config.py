"""An image's configuration is read as `docker run` reads it."""

from __future__ import annotations

from typing import Any

import pytest

from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.containers.sandbox.image_config import ImageConfig

CONFIG = {
    "Entrypoint": ["python3", "-m", "container.vllm"],
    "Cmd": ["--json-output"],
    "Env": ["PATH=/opt/bin:/bin", "OPTIONS=a=1,b=2", "EMPTY="],
    "WorkingDir": "/opt",
}


@pytest.mark.parametrize("member", ["config", "Config"], ids=["OCI image", "docker inspect"])
def test_the_configuration_is_read(member: str) -> None:
    config = ImageConfig.of({"architecture": "amd64", member: CONFIG})
    assert config.command() == ["python3", "-m", "container.vllm", "serve"]
    assert config.cmd == ("--json-output",)
    assert config.env == {"PATH": "/opt/bin:/bin", "OPTIONS": "a=1,b=2", "EMPTY": ""}
    assert config.working_dir == "/opt"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"config": {}},
        {"config": {"Entrypoint": None, "Cmd": None, "Env": None, "WorkingDir": "", "User": ""}},
    ],
)
def test_members_may_be_missing(document: dict[str, Any]) -> None:
    assert ImageConfig.of(document) == ImageConfig()
    assert ImageConfig.of(document).command() == ["serve"]


@pytest.mark.parametrize("user", ["nobody", "1000", "1000:0"])
def test_an_image_of_another_user_is_refused(user: str) -> None:
    with pytest.raises(SandboxRefused, match=f"'{user}'.*remove USER"):
        ImageConfig.of({"config": {"User": user}})


def test_root_may_be_named() -> None:
    assert ImageConfig.of({"config": {"User": "root", "Cmd": ["x"]}}).cmd == ("x",)
