"""The container's network namespace: a loopback interface, with no route to the host or beyond."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

from laptop_cloud.containers.sandbox import linux

#: The container's address, as Docker gives it. The platform's requests go to it: a server that listens on
#: 127.0.0.1 alone is as unreachable as on SageMaker.
CONTAINER: Final = "172.17.0.2"
#: Amazon ECS's address of credentials, which SageMaker uses, too.
#: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
CREDENTIALS: Final = ("169.254.170.2", 80)
#: SageMaker's port of a container.
SERVING_PORT: Final = 8080

#: linux/sockios.h, linux/if.h
_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFNETMASK: Final = 0x891C
_IFF_UP: Final = 0x1
_FILE: Final = "/proc/thread-self/ns/net"


class ContainerNetwork:
    """A new network namespace, which exists as long as this object or a process in it.

    A socket belongs to the namespace in which it was made, whichever thread uses it later. So one process
    connects the host with the container, without an interface between the two.
    """

    def __init__(self) -> None:
        """Make the namespace; this thread stays in the host's. Raises `OSError`."""
        self._host = os.open(_FILE, os.O_RDONLY | os.O_CLOEXEC)
        linux.unshare(linux.CLONE_NEWNET)
        self._container = os.open(_FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _configure_loopback()
        finally:
            linux.setns(self._host, linux.CLONE_NEWNET)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread to the container's network for the block, which must not await."""
        linux.setns(self._container, linux.CLONE_NEWNET)
        try:
            yield
        finally:
            linux.setns(self._host, linux.CLONE_NEWNET)

    def listener(self, address: tuple[str, int]) -> socket.socket:
        """Return a socket that listens in the container's network."""
        made = self.socket()
        made.bind(address)
        made.listen(socket.SOMAXCONN)
        return made

    def socket(self) -> socket.socket:
        """Return a socket for a connection in the container's network."""
        with self.entered():
            return socket.socket()


def _configure_loopback() -> None:
    """Bring the loopback interface up, which gives it 127.0.0.1, and add the two other addresses."""
    import fcntl  # noqa: PLC0415 — Unix only

    with socket.socket() as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        for label, address in ((b"lo:1", CONTAINER), (b"lo:2", CREDENTIALS[0])):
            fcntl.ioctl(control, _SIOCSIFADDR, _address(label, address))
            fcntl.ioctl(control, _SIOCSIFNETMASK, _address(label, "255.255.255.255"))


def _address(label: bytes, address: str) -> bytes:
    """Return a `struct ifreq` with an address."""
    return struct.pack("16sHH4s8x", label, socket.AF_INET, 0, socket.inet_aton(address))
