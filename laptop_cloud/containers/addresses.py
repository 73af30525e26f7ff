"""Addresses of the containers that run for a laptop cloud."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil  # type: ignore[import-untyped]


def container_urls(state: Path) -> tuple[str, ...]:
    """Return the URLs of the containers of the laptop cloud of `state`, found by their environment.

    Containers that run an image in a sandbox are not found.
    """
    ports = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("HOME", "").startswith(f"{state.resolve()}{os.sep}"):
                ports.add(environment.get("SAGEMAKER_BIND_TO_PORT"))
    return tuple(f"http://127.0.0.1:{port}" for port in sorted(filter(None, ports)))
