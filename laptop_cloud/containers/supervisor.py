"""Supervisor of a command: kills every descendant when it ends or when the owner of standard input ends.

    python -m laptop_cloud.containers.supervisor COMMAND [ARGUMENT …]

A container's PID namespace does the same for a container. SIGTERM is forwarded to the command only. When the
command ends, the supervisor kills its descendants and exits with its status. When standard input closes,
because its owner closed it or was killed, the supervisor kills the command and its descendants at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

import psutil  # type: ignore[import-untyped]

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Call Linux's prctl, in addition to the means that work on every system."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _forward_sigterm(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill_descendants() -> None:
    """Kill until none is left: a process may fork between the listing and the kill."""
    while descendants := psutil.Process().children(recursive=True):
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(descendants, timeout=1)


def _kill_when_input_closes(pid: int) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    _kill_group(pid)


def main(command: list[str]) -> int:
    """Run `command`; return its exit status (128 + signal number if a signal ended it)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # Safe here: this process has no second thread yet.
        preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509
    )
    signal.signal(signal.SIGTERM, lambda *_: _forward_sigterm(child.pid))
    threading.Thread(target=_kill_when_input_closes, args=(child.pid,), daemon=True).start()
    status = _wait_for(child.pid)
    _kill_group(child.pid)
    _kill_descendants()
    return status if status >= 0 else 128 - status


def _wait_for(pid: int) -> int:
    """Reap children, adopted ones too, until `pid` ends; return its status."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def supervised(command: list[str]) -> list[str]:
    """Return the command line that runs `command` under a supervisor."""
    return [sys.executable, "-m", "laptop_cloud.containers.supervisor", *command]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
