"""A command that is ended by a signal."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: `release unlock`, whose ledger is never opened: it has a temporary folder meanwhile, and a child.
COMMAND = """
import runpy, subprocess, sys, tempfile
from loraserve.cli.release import options

FOLDER = sys.argv[1]

def open_ledger(*_):
    with tempfile.TemporaryDirectory(dir=FOLDER):
        subprocess.run([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"])

options.open_ledger = open_ledger
sys.argv[1:] = ["release", "unlock", "prod"]
runpy.run_module("loraserve", run_name="__main__")
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_in_order(tmp_path: Path, sent: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        assert list(tmp_path.iterdir())
        process.send_signal(sent)
        # The end of the output: the child has ended as well.
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in said
    assert not list(tmp_path.iterdir())
