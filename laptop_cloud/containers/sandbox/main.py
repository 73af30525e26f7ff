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
from laptop_cloud.containers.sandbox.relay import Relay
from laptop_cloud.containers.sandbox.spec import SandboxSpec
from laptop_cloud.ports import bound_socket

_LOOPBACK: Final = "127.0.0.1"
#: Seconds that clients have for the rest of their answers, after the end of the container.
_DRAIN_S: Final = 5.0


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
    # The container's are not those of the user who started the laptop cloud.
    os.setgroups([0])
    os.umask(0o022)
    hostname = secrets.token_hex(6)
    files.write_etc(hostname)
    (spec.directory / "tmp").chmod(0o1777)
    return asyncio.run(_run(spec, files, hostname))


async def _run(spec: SandboxSpec, files: SandboxFiles, hostname: str) -> int:
    container = _Container()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, container.terminate)
    aws = (_LOOPBACK, spec.endpoint_port)
    outside = bound_socket(spec.port)
    outside.listen(socket.SOMAXCONN)
    network = ContainerNetwork()
    requests = Relay(outside, network.socket, (CONTAINER, SERVING_PORT))
    relays = (
        requests,
        Relay(network.listener(aws), socket.socket, aws),
        Relay(network.listener(CREDENTIALS), socket.socket, aws),
    )
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each.run()) for each in relays]
        with network.entered():
            files.mount_sys()
            container.start(spec, files, hostname)
        status = await container.ended()
        await requests.drain(_DRAIN_S)
        for task in running:
            task.cancel()
    return status


class _Container:
    """Bubblewrap's process and its child, PID 1 of the container."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pid_1: int | None = None

    def start(self, spec: SandboxSpec, files: SandboxFiles, hostname: str) -> None:
        """Start it in the network namespace of this thread."""
        linux.bound_capabilities(MASK)
        info, write = os.pipe()
        options = bubblewrap.options(spec, files, hostname, info=write)
        with _in_memory(options) as file, os.fdopen(info) as report:
            self._process = subprocess.Popen(
                [bubblewrap.PROGRAM, "--args", str(file), "--", *spec.image.command()],
                stdin=subprocess.DEVNULL,
                pass_fds=[file, write],
            )
            os.close(write)
            # Empty if bubblewrap failed, which says why on standard error.
            document = report.read()
        if document:
            self._pid_1 = os.pidfd_open(json.loads(document)["child-pid"])

    def terminate(self) -> None:
        """Send SIGTERM to PID 1."""
        if self._pid_1 is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pid_1, signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for the end, and return the exit status."""
        assert self._process is not None  # noqa: S101 — it has been started
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(os.pidfd_open(self._process.pid), ended.set)
        await ended.wait()
        return self._process.wait()


@contextlib.contextmanager
def _in_memory(words: list[str]) -> Iterator[int]:
    """Yield a descriptor of the words, each ended by a zero byte; `ps` does not show them."""
    file = os.memfd_create("arguments")
    try:
        os.write(file, b"".join(os.fsencode(word) + b"\0" for word in words))
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
