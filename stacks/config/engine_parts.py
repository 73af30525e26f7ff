"""Completeness of an engine: a stage needs each of its parts."""

from __future__ import annotations

from stacks.config.container_check import READERS
from stacks.project import ROOT
from stacks.sizing.engines.registry import MEMORY


def missing_part(engine: str, *, built: bool) -> str | None:
    """Return what a registered engine lacks, in a sentence; None if it is complete.

    `engine` is a key of `adapters.engines.registry.ENGINES`. `built`: its image is built from its Dockerfile.
    """
    if engine not in MEMORY:
        return f"{engine!r} has no memory record: add it to MEMORY in stacks/sizing/engines/registry.py"
    if engine not in READERS:
        return f"{engine!r} has no settings check: add it to READERS in stacks/config/container_check.py"
    dockerfile = f"container/{engine}/Dockerfile"
    if built and not (ROOT / dockerfile).is_file():
        return f"{engine!r} has no {dockerfile}: add it, or give image: the URI of an image"
    return None
