"""A laptop cloud in the background, which outlives the command that starts it: `up`, `down`, `running`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from laptop_cloud import process
from laptop_cloud.cloud import Cloud
from laptop_cloud.options import ServerOptions
from laptop_cloud.ports import free_port

#: Seconds for the server to stop: its containers have 30 of them between SIGTERM and SIGKILL.
_STOP_LIMIT_S = 45.0


def up(state: Path, *, port: int | None = None, options: ServerOptions | None = None) -> Cloud:
    """Return the laptop cloud of the directory `state`, started if it is not running. Its log is `cloud.log`.

    Args:
        state: the directory for every file of the server.
        port: the port of 127.0.0.1; a free one by default.
        options: what a new server runs; one that runs already keeps its own.

    Raises:
        PortTaken: another process listens on the port.
        CloudFailed: the server did not start; no process of it is left.
    """
    already = running(state)
    if already is not None:
        return already
    chosen = free_port(port or 0)
    server = process.start(chosen, state, options or ServerOptions(), owned=False)
    _file(state).write_text(json.dumps({"pid": server.pid, "port": chosen}))
    try:
        process.wait_ready(server, chosen, process.log_of(state))
    except BaseException:
        down(state)
        raise
    return Cloud(chosen, state)


def running(state: Path) -> Cloud | None:
    """Return the laptop cloud of the directory `state` if it is running."""
    recorded = _recorded(state)
    if recorded is None or _server(state, recorded["pid"]) is None:
        return None
    return Cloud(recorded["port"], state)


def pulls_images(state: Path) -> bool:
    """Return True if the laptop cloud of the directory `state` is running and runs the images of ECR."""
    recorded = _recorded(state)
    server = _server(state, recorded["pid"]) if recorded else None
    return server is not None and "--pull-images" in server.cmdline()


def down(state: Path) -> None:
    """Stop the laptop cloud of the directory `state` and every process that it started, if it is running."""
    recorded = _recorded(state)
    server = _server(state, recorded["pid"]) if recorded else None
    if server is not None:
        server.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            server.wait(_STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
    _file(state).unlink(missing_ok=True)


def _file(state: Path) -> Path:
    return state / "cloud.json"


def _recorded(state: Path) -> dict[str, int] | None:
    try:
        recorded: dict[str, int] = json.loads(_file(state).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return recorded


def _server(state: Path, pid: int) -> psutil.Process | None:
    """Return the process `pid` if it is the server of `state`, and not a later process with the same id."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid)
        if found.status() != psutil.STATUS_ZOMBIE and {"laptop_cloud", str(state.resolve())} <= set(
            found.cmdline()
        ):
            return found
    return None
