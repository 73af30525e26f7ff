"""A container in a sandbox ends as on SageMaker, and leaves nothing behind, however its owner ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stacks.project import ROOT
from tests.harness.sandbox import SandboxedContainer
from tests.harness.waiting import wait_until
from tests.images.small_image import probe_container, python_container

#: Code of PID 1 that starts a process in a separate session and waits.
WITH_ORPHAN = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    "start_new_session=True)"
)


KINDS = ("mnt", "net", "pid")


@contextlib.contextmanager
def namespaces(container: SandboxedContainer) -> Iterator[set[str]]:
    """Yield the container's namespaces of mounts, processes and network, e.g. `pid:[4026532309]`.

    They are kept open: the kernel gives the number of one that has ended to the next that is made, which may
    be that of another test's container.
    """
    innermost = container.processes()[-1].pid
    with contextlib.ExitStack() as kept:
        files = [kept.enter_context(Path(f"/proc/{innermost}/ns/{kind}").open("rb")) for kind in KINDS]
        yield {str(Path(f"/proc/self/fd/{file.fileno()}").readlink()) for file in files}


def users_of(kept: set[str]) -> Iterator[int]:
    """Yield the processes that are in one of the namespaces."""
    for pid in psutil.pids():
        for kind in KINDS:
            with contextlib.suppress(OSError):
                if str(Path(f"/proc/{pid}/ns/{kind}").readlink()) in kept:
                    yield pid


def check_nothing_is_left(
    container: SandboxedContainer, processes: list[psutil.Process], kept: set[str]
) -> None:
    """Fail if a process, a namespace with its mounts, a mount of the host or the socket is left."""
    gone, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive, f"{len(gone)} ended, these did not: {alive}"
    wait_until(lambda: not list(users_of(kept)), "no process is in the container's namespaces")
    assert str(container.folder) not in Path("/proc/self/mountinfo").read_text()
    assert not [
        each
        for each in psutil.net_connections("tcp")
        if each.laddr.port == container.client.port and each.status == "LISTEN"
    ]
    assert not list((container.folder / "sandbox" / "root").iterdir())


def test_sigterm_lets_pid_1_end_itself(tmp_path: Path) -> None:
    with probe_container(tmp_path) as container:
        container.terminate()
        assert container.process.wait(10) == 0


def test_a_pid_1_without_a_handler_ignores_sigterm_until_it_is_killed(tmp_path: Path) -> None:
    environment = {"IGNORE_SIGTERM": "1", "START": WITH_ORPHAN}
    with probe_container(tmp_path, environment=environment) as container, namespaces(container) as kept:
        processes = container.processes()
        container.terminate()
        time.sleep(1)
        assert container.client.get("/ping").status == 200
        assert container.kill() == 128 + signal.SIGKILL
        check_nothing_is_left(container, processes, kept)


def test_sigterm_reaches_pid_1_alone(tmp_path: Path) -> None:
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('the child has it', flush=True))\n"
        "while True: time.sleep(0.1)"
    )
    code = (
        f"import signal, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(0.5)\n"
        "def end(*_): print('PID 1 has it', flush=True); time.sleep(0.5); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True)\n"
        "while True: time.sleep(0.1)"
    )
    container = python_container(tmp_path, code).start()
    wait_until(lambda: "up" in container.text(), "PID 1 has a handler")
    container.terminate()
    assert container.process.wait(10) == 0
    assert container.text() == "up\nPID 1 has it\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(7)", 7),
        ("print('done')", 0),
        # PID 1 is not ended by its own SIGKILL: the kernel ends it for an error alone.
        ("import ctypes; ctypes.string_at(0)", 128 + signal.SIGSEGV),
    ],
)
def test_the_exit_status_is_passed_on(tmp_path: Path, code: str, status: int) -> None:
    assert python_container(tmp_path, code).start().process.wait(10) == status


def test_output_passes_unchanged(tmp_path: Path) -> None:
    code = "import os; os.write(1, bytes(range(256))); os.write(2, b'error\\n')"
    container = python_container(tmp_path, code).start()
    assert container.process.wait(10) == 0
    assert container.log.read_bytes() == bytes(range(256)) + b"error\n"


def test_orphans_end_with_pid_1(tmp_path: Path) -> None:
    environment = {"START": WITH_ORPHAN}
    with probe_container(tmp_path, environment=environment) as container, namespaces(container) as kept:
        processes = container.processes()
        assert len(processes) == 5, "supervisor, sandbox, bubblewrap, PID 1 and its child"
        container.terminate()
        assert container.process.wait(10) == 0
        check_nothing_is_left(container, processes, kept)


@pytest.mark.parametrize("killed", ["owner", "supervisor", "sandbox", "bubblewrap"])
def test_everything_ends_after_a_kill(tmp_path: Path, killed: str) -> None:
    container = probe_container(tmp_path, environment={"START": WITH_ORPHAN, "IGNORE_SIGTERM": "1"})
    command = [sys.executable, "-m", "tests.images.owner", *container.spec.command()]
    with (
        contextlib.ExitStack() as held,
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as owner,
    ):
        assert owner.stdout is not None
        container.process = psutil.Process(int(owner.stdout.readline()))  # type: ignore[assignment]
        wait_until(lambda: _answers(container), "it answers")
        processes, kept = container.processes(), held.enter_context(namespaces(container))
        target = {
            "owner": owner.pid,
            "supervisor": processes[0].pid,
            "sandbox": processes[1].pid,
            "bubblewrap": processes[2].pid,
        }
        os.kill(target[killed], signal.SIGKILL)
        owner.wait(10)
        check_nothing_is_left(container, processes, kept)


def _answers(container: SandboxedContainer) -> bool:
    try:
        return container.client.get("/ping").status == 200
    except OSError:
        return False
