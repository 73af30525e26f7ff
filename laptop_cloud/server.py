"""The laptop cloud's server: one process, one port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
from hypercorn.asyncio import serve
from hypercorn.config import Config

from laptop_cloud.autoscaling.clock import ScalingClock
from laptop_cloud.aws_isolation import clean_environment
from laptop_cloud.cloudformation import install as cloudformation
from laptop_cloud.containers.credentials import CredentialsEndpoint, RoleSessions
from laptop_cloud.containers.image_store import ImageStore, check_machine
from laptop_cloud.containers.launcher import Launcher
from laptop_cloud.invocations.router import Router
from laptop_cloud.invocations.runtime import Runtime
from laptop_cloud.ministack import cloudwatch, cross_account, ecr, iam, s3
from laptop_cloud.options import ServerOptions
from laptop_cloud.ports import bound_socket
from laptop_cloud.registry.endpoint import RegistryEndpoint
from laptop_cloud.services import ServiceRegistry

#: Seconds that an idle connection is kept; `ministack`'s figure.
_KEEP_ALIVE_S = 75


def run(port: int, state: Path, options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT; then stop the processes of every endpoint and return.

    Args:
        port: the port of 127.0.0.1.
        state: the directory for every file.
        options: images and mounts, and the check of permissions.

    Raises:
        PortTaken: another process listens on the port.
        SandboxRefused: the options need images to run, which this machine does not allow.
        cloudformation.EmulatorChanged: this version of `ministack` lacks a name that this package uses.
    """
    if options.pull_images:
        check_machine()
    bound = bound_socket(port)
    endpoint_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    _set_environment(endpoint_url, state, options.enforce_iam)
    asyncio.run(_serve(bound.detach(), endpoint_url, state, options))


def _set_environment(endpoint_url: str, state: Path, enforce_iam: bool) -> None:
    """Set the environment that `ministack` reads when it is imported, and that Lambda workers inherit."""
    scratch = state / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    clean = clean_environment(os.environ, endpoint_url)
    os.environ.clear()
    os.environ.update(clean)
    os.environ.update(
        {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(endpoint_url.rpartition(":")[2]),
            "LAMBDA_EXECUTOR": "local",
            "AUTH": str(enforce_iam).lower(),
            "TMPDIR": str(scratch),
            "STATE_DIR": str(state / "emulator"),
            "S3_DATA_DIR": str(state / "s3"),
            # No Docker daemon is used, and only the one port is listened on.
            "DOCKER_HOST": f"unix://{state / 'no-docker.sock'}",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }
    )


async def _serve(file: int, endpoint_url: str, state: Path, options: ServerOptions) -> None:
    # Imported here because `ministack` reads its environment, and sets its directories, on import.
    emulator = import_module("ministack.app").app
    if options.enforce_iam:
        emulator = iam.SecureTransport(emulator)
    emulator = RegistryEndpoint(emulator, enforce_iam=options.enforce_iam)
    roles = RoleSessions(endpoint_url, enforce_iam=options.enforce_iam)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"fd://{file}"]
    config.keep_alive_timeout = _KEEP_ALIVE_S
    # Bodies and headers pass unchanged, and cookies are not shared between callers.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    ) as session:
        launcher = Launcher(
            directory=state / "endpoints",
            endpoint_url=endpoint_url,
            images=options.images,
            session=session,
            roles=roles,
            store=ImageStore(state / "images", endpoint_url, roles),
            pull_images=options.pull_images,
            mounts=options.mounts,
        )
        registry = ServiceRegistry(launcher, roles, ScalingClock(options.scaling_speed))
        cloudformation.install(registry, asyncio.get_running_loop())
        cloudwatch.install()
        if options.enforce_iam:
            s3.install()
            cross_account.install()
            iam.install()
            ecr.install()
        try:
            router = Router(emulator, registry, Runtime(registry, session), enforce_iam=options.enforce_iam)
            app: Any = CredentialsEndpoint(router, roles)
            # A full collection would scan all that was imported; no request would go on for 0.4 to 0.9 s.
            gc.freeze()
            gc.set_threshold(10_000, 20, 100)
            await serve(app, config, shutdown_trigger=stop.wait)
        finally:
            await registry.shut_down()
