"""A laptop cloud that outlives the command that starts it: `up`, `down` and `running`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from laptop_cloud import process
from laptop_cloud.cloud import Cloud

#: Seconds for the server to stop: its endpoints have thirty of them.
_STOP_LIMIT_S = 45.0


def up(state: Path, *, port: int | None = None, images: Mapping[str, Sequence[str]] | None = None) -> Cloud:
    """The laptop cloud of the directory `state`, started if it is not running; its log is `cloud.log`.

    Args:
        state: the directory for all that it writes.
        port: the port of 127.0.0.1 to start it on; a free one by default.
        images: further image names (`localhost/<room>`) and the commands that they stand for.

    Raises:
        PortTaken: something else listens on the port.
        CloudFailed: the server did not come up; nothing of it is left running.
    """
    already = running(state)
    if already is not None:
        return already
    chosen = process.free_port(port or 0)
    server = process.start(chosen, state, images or {}, owned=False)
    _file(state).write_text(json.dumps({"pid": server.pid, "port": chosen}))
    try:
        process.wait_ready(server, chosen, process.log_of(state))
    except BaseException:
        down(state)
        raise
    return Cloud(chosen, state)


def running(state: Path) -> Cloud | None:
    """The laptop cloud of the directory `state`, if it is running."""
    noted = _noted(state)
    if noted is None or _server(state, noted["pid"]) is None:
        return None
    return Cloud(noted["port"], state)


def down(state: Path) -> None:
    """Stop the laptop cloud of the directory `state`, and all that it started; nothing if none runs."""
    noted = _noted(state)
    server = _server(state, noted["pid"]) if noted else None
    if server is not None:
        server.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            server.wait(_STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
    _file(state).unlink(missing_ok=True)


def _file(state: Path) -> Path:
    return state / "cloud.json"


def _noted(state: Path) -> dict[str, int] | None:
    try:
        noted: dict[str, int] = json.loads(_file(state).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return noted


def _server(state: Path, pid: int) -> psutil.Process | None:
    """The process `pid`, if it is the server of `state` and not one that got its number later."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid)
        if found.status() != psutil.STATUS_ZOMBIE and {"laptop_cloud", str(state.resolve())} <= set(
            found.cmdline()
        ):
            return found
    return None
