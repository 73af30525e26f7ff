"""Environment variables of a container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from laptop_cloud.api.account import Account

#: Directories of a container that runs as a process, under its instance's.
DIRECTORIES = ("model", "adapters", "tmp", "home")


def container_environment(
    given: Mapping[str, str],
    *,
    directory: Path,
    account: Account,
    endpoint_url: str,
    port: int,
    engine_port: int,
    credentials: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment of a process: the model's variables (`given`), overridden by the platform's.

    Of the user's environment only PATH and LANG pass. `port` is for the platform's requests, `engine_port` is
    a second free port for the container. A region is not set: SageMaker does not promise one either.
    `credentials` are the variables with which AWS SDKs fetch the execution role's credentials; without them
    the container has those of the account's root.
    """
    root = {"AWS_ACCESS_KEY_ID": account.id, "AWS_SECRET_ACCESS_KEY": "local"}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PYTHONUNBUFFERED": "1",
        # No requests to a hub and no usage reports, unless the model's variables say otherwise.
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        **given,
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "AWS_ENDPOINT_URL": endpoint_url,
        **(root if credentials is None else credentials),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "ENGINE_PORT": str(engine_port),
        "BIND_HOST": "127.0.0.1",
        "SM_MODEL_DIR": str(directory / "model"),
        "ADAPTER_CACHE_DIR": str(directory / "adapters"),
    }


def sandbox_environment(
    given: Mapping[str, str], endpoint_url: str, credentials: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of a container in a sandbox beside its image's: the model's and the platform's.

    SageMaker adds none to a real-time endpoint's one container but that of the credentials: no region, and no
    SAGEMAKER_BIND_TO_PORT, which only several containers on an instance have
    (https://docs.aws.amazon.com/sagemaker/latest/dg/inference-pipeline-real-time.html). So ports, paths and
    caches are the image's defaults. The laptop cloud adds the URL of AWS.
    """
    return {**given, "AWS_ENDPOINT_URL": endpoint_url, **credentials}
