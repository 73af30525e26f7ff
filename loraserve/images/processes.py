"""Programs as subprocesses: their output line by line, and their end when this process is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from loraserve.errors import UserError

#: Lines of a failed program's output that an error shows.
TAIL_LINES = 15
#: Seconds that an interrupted program has to remove its containers and temporary files.
_GRACE_S = 20

#: Called with each line of a program's output.
OnLine = Callable[[str], None]


class ProgramFailed(UserError):
    """A program that exits with an error; the message ends with the end of its output."""

    def __init__(self, command: Sequence[str], output: str) -> None:
        """Take the command and its output, standard error included."""
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-TAIL_LINES:])
        super().__init__(f"{Path(command[0]).name} {command[1]} failed; the end of its output:\n{tail}")


def run(
    command: Sequence[str],
    *,
    on_line: OnLine | None = None,
    stdin: str | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run `command` and return its standard output and standard error; raises `ProgramFailed`.

    `environment` is added to this process's. When this process is interrupted, the program and all processes
    that it started get SIGTERM, and SIGKILL 20 s later.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 — it is a pipe
        try:
            if process.stdin is not None and stdin is not None:
                process.stdin.write(stdin)
                process.stdin.close()
            for line in process.stdout:
                lines.append(line)
                if on_line is not None:
                    on_line(line.rstrip())
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0:
        raise ProgramFailed(command, "".join(lines))
    return "".join(lines)


def ask(command: Sequence[str]) -> str:
    """Run `command`, which answers at once, and return its standard output; raises `ProgramFailed`."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise ProgramFailed(command, done.stderr)
    return done.stdout


@contextmanager
def read_from(command: Sequence[str]) -> Iterator[IO[bytes]]:
    """Yield the standard output of `command` as a stream; raises `ProgramFailed` at the end of the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 — they are pipes
        try:
            yield process.stdout
            while process.stdout.read(1 << 20):  # the program fails if its output is closed early
                pass
            message = process.stderr.read().decode(errors="replace")
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0:
        raise ProgramFailed(command, message)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Stop the process and its children; they may remove what they have made."""
    for sent, seconds in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
