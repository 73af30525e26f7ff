"""The endpoint that a page asks: its settings, and the environment with its credentials."""

from __future__ import annotations

import os
import socket

from loraserve.errors import UserError
from loraserve.playground.settings import PageSettings
from loraserve.runtime_access import endpoint_access
from stacks.config.loading import LOCAL_STAGE
from stacks.project import ROOT


class PagePortTaken(UserError):
    """The port of the page is in use."""


def find_target(
    endpoint: str,
    *,
    bucket: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    port: int | None = None,
) -> tuple[PageSettings, dict[str, str]]:
    """Return the settings of a page, and the environment of its process.

    Raises:
        NotDeployed: no laptop cloud, or a stage without stack.
        PagePortTaken: another process listens on `port`.
        BotoCoreError: no region, no credentials, or no such profile.
    """
    chosen = _free_port(port)
    access = endpoint_access(endpoint, profile=profile, region=region)
    environment = dict(os.environ)
    containers: tuple[str, ...] = ()
    if endpoint == LOCAL_STAGE:
        environment, containers = _in_laptop_cloud()
    elif profile is not None:
        environment["AWS_PROFILE"] = profile
    if bucket is None and (ROOT / "stages" / f"{endpoint}.yaml").is_file():
        # Reading the stage's outputs needs more packages than a typed bucket.
        from loraserve.adapters.open_store import open_store  # noqa: PLC0415

        bucket = open_store(endpoint, None, profile).bucket
    settings = PageSettings(
        endpoint=access.endpoint,
        port=chosen,
        region=access.runtime.meta.region_name,
        adapter_affine=access.adapter_affine,
        bucket=bucket,
        containers=containers,
    )
    return settings, environment


def _in_laptop_cloud() -> tuple[dict[str, str], tuple[str, ...]]:
    # A set-up for deployments does not install what the laptop cloud needs.
    from loraserve import local_stage  # noqa: PLC0415

    cloud = local_stage.running()
    if cloud is None:
        raise UserError("the laptop cloud has just stopped: start it with 'make up'")
    return dict(cloud.environment), local_stage.containers(cloud)


def _free_port(port: int | None) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise PagePortTaken(f"port {port} is in use: choose another one with --port") from error
        return int(listener.getsockname()[1])
