"""The pinned CDK CLI as a subprocess, with a callback for CloudFormation's events."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from loraserve.errors import UserError
from stacks.project import ROOT

CLI = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
NODE = ROOT / ".venv" / "bin" / "node"
#: Lines of a failed command's output that an error shows.
TAIL_LINES = 20
#: `Stack-Name | 3/12 | 10:20:30 AM | CREATE_COMPLETE | AWS::S3::Bucket | …`
_EVENT = re.compile(
    r"^(?P<stack>\S+)\s*\|\s*(?P<done>\d+)(/(?P<total>\d+))?\s*\|[^|]+\|\s*(?P<status>\w+)\s*\|\s*(?P<type>\S+)"
)

#: The CLI's last line after the app's own error, e.g. `… app.py: Subprocess exited with error 2`, as in
#: lib/index.js of aws-cdk 2.1148.1. ESC [ … m is a colour.
_APP_FAILED = re.compile(
    r"^(\x1b\[[\d;]*m)*.+: Subprocess (exited with error (?P<code>\d+)|was killed with signal)"
)

#: Called with the stack's name, resources done, resources in total (0 if unknown) and the resource type.
OnEvent = Callable[[str, int, int, str], None]

#: Beginnings of the lines that end the reason of a failed deployment; hundreds of lines of details follow.
_AFTER_THE_REASON = ("Logs:", "Logs from ", "Source Location:")


class CdkError(UserError):
    """A failure of the CDK CLI; the message has its reason, or the end of its output."""


class AppFailed(CdkError):
    """A failure of app.py, e.g. for an unusable stage file; the message is the app's own."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Take the app's output and its exit code."""
        super().__init__(message)
        self.exit_code = exit_code


def cdk(
    *arguments: str,
    environment: Mapping[str, str],
    output: Path,
    root: Path = ROOT,
    on_event: OnEvent | None = None,
    colour: bool = False,
) -> str:
    """Run `cdk ARGUMENTS` in the working copy `root` and return its output; raises `CdkError`.

    `environment` is the whole environment of the process. `output` is the folder of the cloud assembly.
    """
    with running(*arguments, environment=environment, output=output, root=root, colour=colour) as process:
        return finish(process, arguments[0], on_event)


@contextmanager
def running(
    *arguments: str,
    environment: Mapping[str, str],
    output: Path,
    root: Path = ROOT,
    colour: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Start `cdk ARGUMENTS` in the working copy `root`, with its packages; `finish` waits for the end.

    An exception in the block, Ctrl-C included, ends the CLI and all processes that it started.
    """
    with subprocess.Popen(
        [*_command(arguments, output, root), "--color" if colour else "--no-color"],
        cwd=root,
        # The CLI wraps lines at COLUMNS, and an event is matched as one line.
        env={**_environment(environment, root), "COLUMNS": "500"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        # Ctrl-C reaches this process only, which then kills the CLI and the processes that the CLI started.
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                # Its end comes when the last of the processes has ended: none writes any more.
                assert process.stdout is not None  # noqa: S101 — it is a pipe
                process.stdout.read()
            raise


def finish(process: subprocess.Popen[str], command: str, on_event: OnEvent | None = None) -> str:
    """Wait for a process of `running` and return its output; raises `CdkError`."""
    assert process.stdout is not None  # noqa: S101 — it is a pipe
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        event = _EVENT.match(line)
        if event is not None and on_event is not None:
            on_event(event["stack"], int(event["done"]), int(event["total"] or 0), event["type"])
    if process.wait() != 0:
        raise _failure(command, lines)
    return "".join(lines)


def interactive(*arguments: str, output: Path) -> None:
    """Run `cdk ARGUMENTS` on this terminal, with the CLI's questions; raises `CdkError`.

    The process has this process's environment. A synth asks nothing, so its output is printed when it ends,
    and the app's error is raised as `AppFailed`, without the CLI's line about the subprocess.
    """
    if arguments[0] == "synth":
        sys.stderr.write(cdk(*arguments, environment=os.environ, output=output, colour=sys.stderr.isatty()))
        return
    done = subprocess.run(_command(arguments, output), cwd=ROOT, env=_environment(os.environ), check=False)
    if done.returncode != 0:
        raise CdkError(f"cdk {arguments[0]} failed: see above")


def _command(arguments: Sequence[str], output: Path, root: Path = ROOT) -> list[str]:
    cli = (str(root / path.relative_to(ROOT)) for path in (NODE, CLI))
    return [*cli, *arguments, "--output", str(output), "--no-notices"]


def _environment(environment: Mapping[str, str], root: Path = ROOT) -> dict[str, str]:
    path = f"{root / '.venv' / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return {**environment, "PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"}


def _failure(command: str, lines: Sequence[str]) -> CdkError:
    """Return the error of a CLI that failed after it printed `lines`."""
    for number, line in enumerate(lines):
        failed = _APP_FAILED.match(line)
        if failed is not None and number > 0:
            # The CLI prints nothing before the app's output, and only its own stack trace after this line.
            return AppFailed("".join(lines[:number]).strip(), int(failed["code"] or 1))
    return CdkError(f"cdk {command} failed:\n{''.join(_reason(lines))}")


def _reason(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines with the reason of the CLI's failure."""
    marked = [number for number, line in enumerate(lines) if line.lstrip().startswith("❌")]
    if not marked:
        return lines[-TAIL_LINES:]
    reason = lines[marked[-1] :]
    after = [n for n, line in enumerate(reason) if line.lstrip().startswith(_AFTER_THE_REASON)]
    return reason[: after[0]] if after else reason[:TAIL_LINES]
