"""What a container's process sees of the world."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from laptop_cloud.api.account import Place

#: A container's own directories, under its instance's.
DIRECTORIES = ("model", "adapters", "tmp", "home")


def container_environment(
    given: Mapping[str, str],
    *,
    directory: Path,
    place: Place,
    endpoint_url: str,
    port: int,
    engine_port: int,
    credentials: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """A container's environment: the model's own (`given`), and what the platform sets over it.

    Nothing of the user's environment passes but where programs are. `port` is for the platform's calls,
    `engine_port` a second free one for the container's own use. `credentials` are the variables by which
    AWS SDKs find the execution role's; without them the container acts as the account's root.
    """
    root = {"AWS_ACCESS_KEY_ID": place.account, "AWS_SECRET_ACCESS_KEY": "local"}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PYTHONUNBUFFERED": "1",
        # A laptop's containers call no hub and report to nobody, unless the model asks for it.
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        **given,
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "AWS_REGION": place.region,
        "AWS_DEFAULT_REGION": place.region,
        "AWS_ENDPOINT_URL": endpoint_url,
        **(root if credentials is None else credentials),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "ENGINE_PORT": str(engine_port),
        "BIND_HOST": "127.0.0.1",
        "SM_MODEL_DIR": str(directory / "model"),
        "ADAPTER_CACHE_DIR": str(directory / "adapters"),
    }
