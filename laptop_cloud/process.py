"""The laptop cloud's server as a child process: start it, and wait until it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from laptop_cloud.aws_isolation import clean_environment
from laptop_cloud.containers.images import REPOSITORY
from laptop_cloud.containers.supervisor import supervised
from laptop_cloud.invocations.router import IDENTITY_PATH
from laptop_cloud.options import ServerOptions

#: Seconds for the server to start; it takes two or three on an idle laptop.
_READY_LIMIT_S = 120.0
_POLL_S = 0.1
_TAIL_LINES = 15

_direct = build_opener(ProxyHandler({}))


class CloudFailed(RuntimeError):
    """The laptop cloud's server did not start."""

    def __init__(self, what: str, log: Path) -> None:
        """Make the message from the event `what` and the last lines of `log`."""
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:] if log.exists() else []
        super().__init__("\n".join((f"the laptop cloud {what}; the end of {log}:", *lines)))


def log_of(state: Path) -> Path:
    """Return the path of the server's log."""
    return state / "cloud.log"


def start(port: int, state: Path, options: ServerOptions, *, owned: bool) -> subprocess.Popen[bytes]:
    """Start the server on `port`. An owned server ends with this process, even if this process is killed."""
    state.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "laptop_cloud", "--port", str(port), "--state", str(state.resolve())]
    command += options.arguments()
    with log_of(state).open("ab") as log:
        return subprocess.Popen(
            supervised(command) if owned else command,
            stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=REPOSITORY,
            env=clean_environment(os.environ, f"http://127.0.0.1:{port}"),
            start_new_session=True,
        )


def wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the server answers. Raises `CloudFailed` if it exits before that, or takes too long."""
    deadline = time.monotonic() + _READY_LIMIT_S
    while not answers(port):
        if process.poll() is not None:
            raise CloudFailed(f"ended with status {process.returncode} before it was ready", log)
        if time.monotonic() > deadline:
            raise CloudFailed(f"was not ready within {_READY_LIMIT_S:g} s", log)
        time.sleep(_POLL_S)


def answers(port: int) -> bool:
    """Return True if a laptop cloud's server answers on `port` of 127.0.0.1."""
    try:
        with _direct.open(f"http://127.0.0.1:{port}{IDENTITY_PATH}", timeout=5) as answer:
            said = json.load(answer)
    except (URLError, OSError, ValueError):
        return False
    return isinstance(said, dict) and "pid" in said


def post(port: int, path: str, body: Mapping[str, object]) -> None:
    """Send a JSON document to the server on `port` of 127.0.0.1; raises `urllib.error.HTTPError`."""
    request = Request(f"http://127.0.0.1:{port}{path}", data=json.dumps(body).encode(), method="POST")
    _direct.open(request, timeout=5).close()
