"""Reading of adapter files ahead of vLLM, which reads them in the loop that generates for all requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from pathlib import Path

_BLOCK_BYTES = 1024 * 1024


class ReadAhead:
    """Brings an adapter's files to the kernel's page cache if vLLM may have dropped them from host memory.

    vLLM drops the least recently used adapter. So those that were used last, as many as it holds, need no
    files.
    """

    def __init__(self, resident: int) -> None:
        """`resident` is the number of adapters that vLLM holds in host memory."""
        self._resident = resident
        self._used: OrderedDict[str, None] = OrderedDict()

    async def before_use(self, engine_id: str, directory: Path) -> None:
        """Read the files of an adapter if need be; a thread waits for the disk."""
        if engine_id not in self._used:
            await asyncio.to_thread(_read, directory)
        self.used(engine_id)

    def used(self, engine_id: str) -> None:
        """Record that vLLM has the adapter in host memory now."""
        self._used[engine_id] = None
        self._used.move_to_end(engine_id)
        if len(self._used) > self._resident:
            self._used.popitem(last=False)

    def unloaded(self, engine_id: str) -> None:
        """Record that vLLM no longer has the adapter."""
        self._used.pop(engine_id, None)


def _read(directory: Path) -> None:
    block = bytearray(_BLOCK_BYTES)
    # A file that is missing is vLLM's error, or it is loaded again.
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with path.open("rb", buffering=0) as file:
                while file.readinto(block):
                    pass
