"""Errors of adapter downloads, passed from vLLM's process to the gateway's.

vLLM answers 404 for every failure of a resolver. So the resolver writes the error to a file in the adapter
cache, and the gateway reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from container.gateway.errors import ADAPTER_ERRORS, GatewayError, adapter_error


def leave_problem(cache: Path, engine_id: str, error_type: str, message: str) -> None:
    """Write an error for the gateway; `error_type` is in `ADAPTER_ERRORS`. Does nothing on a full disk."""
    path = _path(cache, engine_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([error_type, message]))
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()


def take_problem(cache: Path, engine_id: str) -> GatewayError | None:
    """Read and delete the error; return None if there is none."""
    path = _path(cache, engine_id)
    try:
        error_type, message = json.loads(path.read_text())
        path.unlink()
        return adapter_error(error_type, str(message)) if error_type in ADAPTER_ERRORS else None
    except (OSError, ValueError):
        return None


def _path(cache: Path, engine_id: str) -> Path:
    return cache / "problems" / hashlib.sha256(engine_id.encode()).hexdigest()
