"""Files that are read by range, on disk or in memory; others are in `ingest` (S3, the Hub, a zip archive)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

#: Each chunk may be a separate request.
_CHUNK_BYTES = 8 * 1024 * 1024


class ReadableFile(Protocol):
    """A file of known size; any range can be read, by several threads at once."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    def read(self, start: int, length: int) -> bytes | bytearray:
        """Return exactly the bytes `start` … `start + length`; fewer only at the end of the file."""


class LocalFile:
    """A file on disk."""

    sequential = False

    def __init__(self, path: Path) -> None:
        """The file must exist."""
        self.path = path
        self.size = path.stat().st_size

    def read(self, start: int, length: int) -> bytes:
        """Read a range, as `ReadableFile.read`."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def write_file(file: ReadableFile, path: Path) -> None:
    """Write a copy of a file to disk."""
    with path.open("wb") as copy:
        for start in range(0, file.size, _CHUNK_BYTES):
            copy.write(file.read(start, _CHUNK_BYTES))


def sha256_of(file: ReadableFile, before_each: Callable[[], None] = lambda: None) -> str:
    """Return the SHA-256 (hex) of a file; `before_each` is called before each chunk, and may raise."""

    def chunks() -> Iterator[bytes | bytearray]:
        for start in range(0, file.size, _CHUNK_BYTES):
            before_each()
            yield file.read(start, _CHUNK_BYTES)

    return sha256_of_chunks(chunks())


def sha256_of_chunks(
    chunks: Iterable[bytes | bytearray], received: Callable[[int], None] = lambda _: None
) -> str:
    """Return the SHA-256 (hex) over chunks; `received` gets the bytes of each chunk, and may raise."""
    digest = hashlib.sha256()
    for chunk in chunks:
        received(len(chunk))
        digest.update(chunk)
        # Before the next chunk is read: two of them would need the memory twice.
        del chunk
    return digest.hexdigest()


class BytesFile:
    """A small file in memory."""

    sequential = False

    def __init__(self, content: bytes | bytearray) -> None:
        """`content` is the whole file, and is not copied."""
        self.size = len(content)
        self._content = content

    def read(self, start: int, length: int) -> bytes | bytearray:
        """Read a range, as `ReadableFile.read`."""
        return self._content[start : start + length]
