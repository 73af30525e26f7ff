"""`python -m loraserve`: the command line. The Makefile's targets call it."""

from __future__ import annotations

import signal

from loraserve.cli.commands import app

if __name__ == "__main__":
    # A pipeline ends a job with SIGTERM: like Ctrl-C, so that the lock and temporary files are removed, and
    # the CDK CLI does not go on with the next stack.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
