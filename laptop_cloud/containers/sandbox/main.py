"""Run of one container, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Final

from laptop_cloud.containers.sandbox import bubblewrap, linux, requirements
from laptop_cloud.containers.sandbox.capabilities import MASK
from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.containers.sandbox.filesystem import SandboxFiles
from laptop_cloud.containers.sandbox.network import (
    CONTAINER,
    CREDENTIALS,
    SERVING_PORT,
    ContainerNetwork,
)
from laptop_cloud.containers.sandbox.relay import relay
from laptop_cloud.containers.sandbox.spec import SandboxSpec
from laptop_cloud.ports import bound_socket

_LOOPBACK: Final = "127.0.0.1"


def run(spec: SandboxSpec) -> int:
    """Run the container; return the exit status of its PID 1 (128 + signal number if a signal ended it).

    SIGTERM to this process goes to PID 1 alone. If this process ends, so do all of the container's.
    Its output is this process's.

    Raises:
        SandboxRefused: the machine or the image does not allow a sandbox.
    """
    requirements.check()
    if spec.endpoint_port == SERVING_PORT:
        raise SandboxRefused(
            f"AWS is on port {SERVING_PORT}, which is the container's",
            "start the laptop cloud on another port",
        )
    # Each relayed connection takes two descriptors.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files = SandboxFiles(spec.directory)
    files.mount_root(spec.layers, spec.root_bytes)
    hostname = secrets.token_hex(6)
    files.write_etc(hostname)
    (spec.directory / "tmp").chmod(0o1777)
    return asyncio.run(_run(spec, files, hostname))


async def _run(spec: SandboxSpec, files: SandboxFiles, hostname: str) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: container.terminate())
    aws = (_LOOPBACK, spec.endpoint_port)
    outside = bound_socket(spec.port)
    outside.listen(socket.SOMAXCONN)
    network = ContainerNetwork()
    async with asyncio.TaskGroup() as group:
        relays = [
            group.create_task(relay(outside, network.socket, (CONTAINER, SERVING_PORT))),
            group.create_task(relay(network.listener(aws), socket.socket, aws)),
            group.create_task(relay(network.listener(CREDENTIALS), socket.socket, aws)),
        ]
        with network.entered():
            files.mount_sys()
            container = _Container(spec, files, hostname)
        status = await container.ended()
        for task in relays:
            task.cancel()
    return status


class _Container:
    """Bubblewrap's process and its child, PID 1 of the container."""

    def __init__(self, spec: SandboxSpec, files: SandboxFiles, hostname: str) -> None:
        """Start it in the network namespace of this thread."""
        linux.bound_capabilities(MASK)
        info, write = os.pipe()
        options = bubblewrap.options(spec, files, hostname, info=write)
        with _in_memory(options) as file, open(info, encoding="utf-8") as told:
            self._process = subprocess.Popen(
                [bubblewrap.PROGRAM, "--args", str(file), "--", *spec.image.command()],
                stdin=subprocess.DEVNULL,
                pass_fds=[file, write],
            )
            os.close(write)
            # Empty if bubblewrap failed, which says why on standard error.
            document = told.read()
        self._pid_1 = os.pidfd_open(json.loads(document)["child-pid"]) if document else None

    def terminate(self) -> None:
        """Send SIGTERM to PID 1."""
        if self._pid_1 is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pid_1, signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for the end, and return the exit status."""
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(os.pidfd_open(self._process.pid), readable.set)
        await readable.wait()
        return self._process.wait()


@contextlib.contextmanager
def _in_memory(words: list[str]) -> Iterator[int]:
    """Yield a descriptor of the words, each ended by a zero byte; the list of processes does not show them."""
    file = os.memfd_create("arguments")
    try:
        os.write(file, b"".join(os.fsencode(word) + b"\0" for word in words))
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
