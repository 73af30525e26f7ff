"""The Python versions that the pinned packages have wheels for. This module runs in every Python from 3.6 on.

tests/unit/loraserve/setup/test_wheels.py compares the bounds with the package index.
"""

import shutil
import subprocess

OLDEST = (3, 11)
#: torch, numba and llvmlite have no wheels for a newer one, pydantic-core neither.
NEWEST = (3, 14)


def refusal(version: "tuple[int, ...]") -> "str | None":
    """Return the sentence that refuses this version, e.g. `(3, 9)`; None if it is usable."""
    if OLDEST <= version <= NEWEST:
        return None
    usable = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found = [name for name in usable if _runs(name)]
    remedy = (
        f"Run the same command with one that is installed here: make PYTHON={found[0]} …"
        if found
        else f"Install one of these and name it: make PYTHON={usable[1]} …"
    )
    return (
        f"Python {_text(version)} is too {'old' if version < OLDEST else 'new'}: the pinned packages have "
        f"wheels for {_text(OLDEST)} to {_text(NEWEST)}. {remedy}"
    )


def _runs(name: str) -> bool:
    """Return whether the program runs: a version manager has shims of versions that are not active."""
    if shutil.which(name) is None:
        return False
    return subprocess.call([name, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _text(version: "tuple[int, ...]") -> str:
    return ".".join(map(str, version))
