"""Children that have ended are reaped, all but the engine."""

import os
import subprocess
import sys

#: As in a container, where a process without a parent becomes a child of process 1: here of one that asks for it.
REAPING = """
import ctypes, os, subprocess, time
from container.gateway.engine import orphans
ctypes.CDLL(None).prctl(36, 1)
engine = subprocess.Popen(["sh", "-c", "(sleep 0.1 &) ; (sleep 0.1 &) ; exit 3"])
time.sleep(1)
zombies = lambda: [p for p in os.listdir("/proc") if p.isdigit() and f"\\nPPid:\\t{os.getpid()}\\n" in status(p)]
def status(pid):
    try:
        return open(f"/proc/{pid}/status").read()
    except OSError:
        return ""
assert len(zombies()) == 3, zombies()
orphans._reap(0)
assert zombies() == [], zombies()
"""

ENGINE_IS_LEFT = """
import os
from container.gateway.engine import orphans
pid = os.fork()
if pid == 0:
    os._exit(3)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
orphans._reap(pid)
assert os.waitpid(pid, 0) == (pid, 3 << 8)
orphans._reap(pid)
"""


def run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ended_children_are_reaped() -> None:
    run(REAPING)


def test_the_engine_keeps_its_exit_code() -> None:
    run(ENGINE_IS_LEFT)
