"""A virtual environment, empty but for pip."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from loraserve.setup.errors import SetupError


def make(folder: Path) -> None:
    """Make the environment, of this Python; raises `SetupError`."""
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} comes without its module ensurepip: install it, e.g. with "
            f"`apt install python3.{sys.version_info[1]}-venv`."
        )
    # An incomplete one, or one of another Python, is replaced.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        # A copied interpreter of macOS does not find its library.
        venv.create(folder, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"{sys.executable} cannot create a virtual environment in {folder}: {error}"
        ) from error
