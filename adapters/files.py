"""Files that are read by range, wherever they lie: on disk, in S3, on the Hub, in a zip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

#: Each may be a request of its own.
_CHUNK_BYTES = 8 * 1024 * 1024


class ReadableFile(Protocol):
    """A file of known size, of which any range can be read, by several threads at once."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def read(self, start: int, length: int) -> bytes | bytearray:
        """Exactly the bytes `start` … `start + length`; fewer only where the file ends."""


class LocalFile:
    """A file on disk."""

    sequential = False

    def __init__(self, path: Path) -> None:
        """The file must exist."""
        self.path = path
        self.size = path.stat().st_size

    def read(self, start: int, length: int) -> bytes:
        """See `ReadableFile.read`."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def sha256_of(file: ReadableFile, before_each: Callable[[], None] = lambda: None) -> str:
    """SHA-256 (hex) of a file, read in chunks; `before_each` is called before each, and may raise."""
    digest = hashlib.sha256()
    for start in range(0, file.size, _CHUNK_BYTES):
        before_each()
        digest.update(file.read(start, _CHUNK_BYTES))
    return digest.hexdigest()


class BytesFile:
    """A small file in memory."""

    sequential = False

    def __init__(self, content: bytes) -> None:
        """`content` is the whole file."""
        self.size = len(content)
        self._content = content

    def read(self, start: int, length: int) -> bytes:
        """See `ReadableFile.read`."""
        return self._content[start : start + length]
