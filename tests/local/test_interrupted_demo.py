"""Ctrl-C during the demo."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stacks.project import ROOT
from tests.local.processes import processes_of

#: Time limits in seconds: until bootstrapping has begun, and until all processes have ended.
LIMIT_SECONDS = 60


def wait_until(condition: Callable[[], bool], limit: float = LIMIT_SECONDS) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def test_ctrl_c_ends_everything_that_the_demo_has_started(tmp_path: Path) -> None:
    out = tmp_path / "out"
    demo = subprocess.Popen(
        [sys.executable, "-m", "loraserve", "demo", "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    # The CDK CLI is running, and so is the laptop cloud.
    wait_until(lambda: any("aws-cdk" in command for command in processes_of(out)))
    os.killpg(demo.pid, signal.SIGINT)
    printed, _ = demo.communicate(timeout=LIMIT_SECONDS)
    assert demo.returncode == 130, printed
    assert "everything this command started is stopped" in printed
    wait_until(lambda: processes_of(out) == [])
