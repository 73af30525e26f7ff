"""Steps of the set-up, each done once: a stamp has the hash of the files that it was made from."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from loraserve.setup.paths import ROOT, VENV
from loraserve.setup.processes import show


def step(title: str, made_from: Iterable[str], action: Callable[[], None], environment: Path = VENV) -> None:
    """Do the step unless it is done; `environment` has the stamp."""
    if is_done(environment, title, made_from):
        return
    started = time.monotonic()
    show(f"setup: {title} …")
    action()
    _stamp(environment, title).write_text(_fingerprint(made_from))
    show(f"setup: {title} done in {time.monotonic() - started:.0f} s", last=True)


def is_done(environment: Path, title: str, made_from: Iterable[str]) -> bool:
    """Return true if the step was done with the present files and the present Python."""
    stamp = _stamp(environment, title)
    there = (environment / "bin" / "python").exists() and stamp.exists()
    return there and stamp.read_text() == _fingerprint(made_from)


def _stamp(environment: Path, title: str) -> Path:
    return environment / f".{title.replace(' ', '-')}"


def _fingerprint(made_from: Iterable[str]) -> str:
    content = b"".join((ROOT / name).read_bytes() for name in made_from)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()
