"""The laptop cloud's server: one process, one port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
from hypercorn.asyncio import serve
from hypercorn.config import Config

from laptop_cloud.aws_isolation import clean_environment
from laptop_cloud.cloudformation import install as cloudformation
from laptop_cloud.containers.credentials import CredentialsEndpoint, RoleSessions
from laptop_cloud.containers.launcher import Launcher
from laptop_cloud.invocations.router import Front
from laptop_cloud.invocations.runtime import Runtime
from laptop_cloud.ministack import iam as emulated_iam
from laptop_cloud.ministack import s3 as emulated_s3
from laptop_cloud.services import Places

#: Clients keep connections this long (seconds); `ministack`'s own figure.
_KEEP_ALIVE_S = 75


class PortTaken(OSError):
    """Something else listens on the port."""

    def __init__(self, port: int) -> None:
        """`port` is the port of 127.0.0.1 that was asked for."""
        super().__init__(
            f"port {port} of 127.0.0.1 is taken: stop what listens there (`lsof -i :{port}` names it), "
            "or choose another port"
        )


def bound_socket(port: int) -> socket.socket:
    """A socket bound to `port` of 127.0.0.1 (0: any free one). Raises `PortTaken`."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        raise PortTaken(port) from error
    return bound


def run(port: int, state: Path, images: Mapping[str, Sequence[str]], *, enforce_iam: bool) -> None:
    """Serve until SIGTERM or SIGINT; then stop every endpoint's processes and return.

    Args:
        port: the port of 127.0.0.1.
        state: the directory that gets every file this writes.
        images: further image names and their commands, beside the rooms of `container/`.
        enforce_iam: whether a request needs its principal's IAM policies to allow it.

    Raises:
        PortTaken: something else listens there.
        cloudformation.EmulatorChanged: `ministack` is not the version that this fits.
    """
    bound = bound_socket(port)
    endpoint_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    _set_environment(endpoint_url, state, enforce_iam)
    asyncio.run(_serve(bound.detach(), endpoint_url, state, images, enforce_iam))


def _set_environment(endpoint_url: str, state: Path, enforce_iam: bool) -> None:
    """The environment that `ministack` reads when it is imported, and that Lambda workers inherit."""
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
            # No Docker daemon is looked for, and nothing listens beside the one port.
            "DOCKER_HOST": f"unix://{state / 'no-docker.sock'}",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }
    )


async def _serve(
    file: int, endpoint_url: str, state: Path, images: Mapping[str, Sequence[str]], enforce_iam: bool
) -> None:
    # Imported here because it reads its environment, and fixes its directories, as it is imported.
    emulator = import_module("ministack.app").app
    if enforce_iam:
        emulator = emulated_iam.SecureTransport(emulator)
    roles = RoleSessions(endpoint_url, enforce_iam=enforce_iam)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"fd://{file}"]
    config.keep_alive_timeout = _KEEP_ALIVE_S
    # What passes through is neither unpacked nor added to, and one caller's cookies are not another's.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    ) as session:
        launcher = Launcher(
            directory=state / "endpoints",
            endpoint_url=endpoint_url,
            images=images,
            session=session,
            roles=roles,
        )
        places = Places(launcher, roles)
        cloudformation.install(places, asyncio.get_running_loop())
        if enforce_iam:
            emulated_s3.install()
        try:
            front = Front(emulator, places, Runtime(places, session))
            app: Any = CredentialsEndpoint(front, roles)
            await serve(app, config, shutdown_trigger=stop.wait)
        finally:
            await places.abandon()
