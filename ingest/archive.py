"""Files inside a zip archive that is read by range, without a copy on disk."""

from __future__ import annotations

import io
import threading
import zipfile
from typing import IO

from adapters.files import ReadableFile

_BUFFER_BYTES = 256 * 1024
_PIECE_BYTES = 1024 * 1024


class Archive:
    """A zip archive."""

    def __init__(self, file: ReadableFile) -> None:
        """Read the archive's directory, which is at its end."""
        self._zip = zipfile.ZipFile(io.BufferedReader(_Seekable(file), _BUFFER_BYTES))

    def file(self, path: str) -> ArchivedFile:
        """Return one file of the archive; raises `KeyError` if the path is absent."""
        return ArchivedFile(self._zip, self._zip.getinfo(path))

    def read(self, path: str) -> bytes:
        """Return the content of a small file; raises `KeyError` if the path is absent."""
        return self._zip.read(path)


class ArchivedFile:
    """A compressed file: reading forward is cheap, seeking back decompresses from the start."""

    sequential = True

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        """`info` is the file's entry in the archive's directory."""
        self.size = info.file_size
        self._archive = archive
        self._info = info
        self._stream: IO[bytes] | None = None
        self._lock = threading.Lock()

    def read(self, start: int, length: int) -> bytes | bytearray:
        """Read a range, as `adapters.files.ReadableFile.read`."""
        with self._lock:
            if self._stream is None:
                self._stream = self._archive.open(self._info)
            self._stream.seek(start)
            # Filled in place: joining the pieces, as zipfile does, needs the memory twice.
            data = bytearray(max(0, min(length, self.size - start)))
            view, filled = memoryview(data), 0
            while filled < len(data):
                piece = self._stream.read(min(_PIECE_BYTES, len(data) - filled))
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
            return data


class _Seekable(io.RawIOBase):
    """A `ReadableFile` as Python's file interface."""

    def __init__(self, file: ReadableFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), _PIECE_BYTES, max(0, self._file.size - self._position))
        data = self._file.read(self._position, wanted) if wanted else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
