"""The command line: `loraserve`, or `python -m loraserve`. The Makefile's targets call it."""

from __future__ import annotations

import signal

from loraserve.cli.commands import app


def main() -> None:
    """Run the command that the arguments of this process name; its exit code is the process's."""
    # A pipeline ends a job with SIGTERM: like Ctrl-C, so that the lock and temporary files are removed, and
    # the CDK CLI does not go on with the next stack.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # One name, however it is started: the shell's completion is for this name.
    app(prog_name="loraserve")


if __name__ == "__main__":
    main()
