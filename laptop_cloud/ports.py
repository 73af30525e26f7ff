"""Ports of 127.0.0.1: binding one, and finding free ones."""

from __future__ import annotations

import contextlib
import socket


class PortTaken(OSError):
    """Another process listens on the port."""

    def __init__(self, port: int) -> None:
        """`port` is the requested port of 127.0.0.1."""
        super().__init__(
            f"port {port} of 127.0.0.1 is taken: stop what listens there (`lsof -i :{port}` names it), "
            "or choose another port"
        )


def bound_socket(port: int) -> socket.socket:
    """Return a socket bound to `port` of 127.0.0.1 (0: any free port). Raises `PortTaken`."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        raise PortTaken(port) from error
    return bound


def free_port(port: int = 0) -> int:
    """Return `port` if it is free, or a free port if it is 0. Raises `PortTaken`."""
    with bound_socket(port) as bound:
        chosen: int = bound.getsockname()[1]
    return chosen


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports: all are bound until the last is found."""
    with contextlib.ExitStack() as bound:
        return [bound.enter_context(bound_socket(0)).getsockname()[1] for _ in range(count)]
