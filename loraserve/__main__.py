"""`python -m loraserve`: the command line. The Makefile's targets call it."""

from __future__ import annotations

from loraserve.cli.commands import app

if __name__ == "__main__":
    app()
