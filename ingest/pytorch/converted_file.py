"""A PyTorch checkpoint as a safetensors file, converted while it is read.

The bytes are those that `safetensors.torch.save_file(torch.load(…), metadata={"format": "pt"})` writes, and
so do not depend on the checkpoint's layout: the same tensors have the same revision in the store, from either
format.
"""

from __future__ import annotations

import json
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice

from adapters.files import BytesFile, ReadableFile, sha256_of
from adapters.source import SourceError
from ingest.pytorch.errors import DAMAGED, UnusableCheckpoint
from ingest.pytorch.strides import Piece
from ingest.pytorch.strides import pieces as pieces_of
from ingest.pytorch.tensors import SourceTensor, find_tensors
from ingest.pytorch.unpickler import MAX_PICKLE_BYTES, unpickle
from ingest.pytorch.zip_directory import ZipMember, read_directory

#: The name of PEFT's weights file before safetensors.
CHECKPOINT_FILE = "adapter_model.bin"
#: Bytes of a request to the source.
_READ_BYTES = 8 * 1024 * 1024
#: Bytes between two ranges below which both are one request.
_GAP_BYTES = 128 * 1024
#: Checkpoints up to this size are read once for both digests, and are in memory meanwhile.
_WHOLE_BYTES = 32 * 1024 * 1024
#: Pieces in memory at once; those of one tensor that is in order are few.
_MOST_PIECES = 16_384
#: Bytes of a local header that are read in advance: PyTorch pads it to align the data to 64 bytes.
_HEADER_BYTES = 256
#: Checkpoints that are hashed at the same time: each needs memory for the file or for two chunks.
_HASHING = threading.Semaphore(4)
#: Pickles need up to fifty times their bytes: large ones are read one after another.
_LARGE_PICKLE_BYTES = 512 * 1024
_LARGE_PICKLES = threading.Lock()
#: Largest element, in bytes: every tensor begins at a multiple of its element.
_ALIGNMENT = 4


@dataclass(frozen=True)
class Digests:
    """SHA-256 (hex) of a checkpoint, and of the safetensors file that it is converted to."""

    checkpoint: str
    converted: str


@dataclass(frozen=True)
class _Layout:
    """The tensors of a checkpoint in the order of the safetensors file."""

    header: bytes
    tensors: list[SourceTensor]
    ends: list[int]
    """End of each tensor, from the end of the header."""
    data_starts: dict[str, int]
    """By path of a member: offset of its data in the checkpoint; filled when data are first read."""


class ConvertedFile:
    """The safetensors file of one checkpoint; `adapters.store.transfer.TransferableFile`.

    Every read reads from the checkpoint, by range, and keeps nothing of the data. What the checkpoint's
    pickle says is read at the first use and kept until `forget`. Raises `SourceError` if the checkpoint
    cannot be converted.
    """

    sequential = False

    def __init__(
        self, source: str, file: ReadableFile, before_each: Callable[[], None] = lambda: None
    ) -> None:
        """`source` is for messages. `before_each` is called before each request, and may raise."""
        self.checkpoint = file
        self._source = source
        self._before_each = before_each
        self._lock = threading.Lock()
        self._layout: _Layout | None = None
        self._size: int | None = None
        self._starts: array[int] | None = None
        """Offset of the data of each member in use; kept by `forget`, because finding them takes requests."""

    @property
    def size(self) -> int:
        """Bytes of the safetensors file."""
        if self._size is None:
            layout = self._known()
            self._size = len(layout.header) + (layout.ends[-1] if layout.ends else 0)
        return self._size

    def read(self, start: int, length: int) -> bytes | bytearray:
        """Read a range, as `ReadableFile.read`."""
        end = min(start + length, self.size)
        # Copying needs whole elements.
        first, last = start - start % _ALIGNMENT, end + -end % _ALIGNMENT
        try:
            data = self._read(first, last) if start < end else bytearray()
        except UnusableCheckpoint as error:
            raise self._error(error) from error
        if (first, last) == (start, end):
            return data
        return data[start - first : end - first] if start < end else data

    def digests(self, check_checkpoint: Callable[[str], None] = lambda _: None) -> Digests:
        """Hash the checkpoint and the converted file, reading a small checkpoint only once.

        `check_checkpoint` gets the SHA-256 (hex) of the checkpoint before anything is converted, and may
        raise.
        """
        with _HASHING:
            if self.checkpoint.size > _WHOLE_BYTES:
                checkpoint = sha256_of(self.checkpoint, self._before_each)
                check_checkpoint(checkpoint)
                return Digests(checkpoint, sha256_of(self))
            self._before_each()
            whole = BytesFile(self.checkpoint.read(0, self.checkpoint.size))
            checkpoint = sha256_of(whole)
            check_checkpoint(checkpoint)
            converted = ConvertedFile(self._source, whole, self._before_each)
            digests = Digests(checkpoint, sha256_of(converted))
            self._starts = converted._starts
            return digests

    def forget(self) -> None:
        """Free the memory of the tensors' places; the next read finds them again."""
        with self._lock:
            self._layout = None

    def _known(self) -> _Layout:
        with self._lock:
            if self._layout is None:
                try:
                    self._layout = _read_layout(self.checkpoint, self._before_each)
                except UnusableCheckpoint as error:
                    raise self._error(error) from error
            return self._layout

    def _error(self, error: UnusableCheckpoint) -> SourceError:
        return SourceError(self._source, f"its {CHECKPOINT_FILE} {error.problem}", error.remedy)

    def _read(self, start: int, end: int) -> bytearray:
        layout = self._known()
        data = bytearray(end - start)
        head = layout.header[start:end]
        data[: len(head)] = head
        if end <= len(layout.header):
            return data
        with self._lock:
            if not layout.data_starts:
                layout.data_starts.update(self._data_starts(layout.tensors))
        view = memoryview(data)
        base = len(layout.header)
        pieces = _wanted(layout, max(0, start - base), end - base)
        while wanted := sorted(islice(pieces, _MOST_PIECES), key=_place):
            ranges = ((piece.source, piece.length) for piece in wanted)
            for piece, source in zip(wanted, _in_few_reads(self._fetch, ranges), strict=True):
                piece.piece.copy(source, view[base + piece.target - start :], piece.item)
        return data

    def _data_starts(self, tensors: Iterable[SourceTensor]) -> dict[str, int]:
        """Return the offset of the data of each member in use, from the members' local headers."""
        members = sorted(
            {tensor.member for tensor in tensors if tensor.size}, key=lambda member: member.header
        )
        if self._starts is None or len(self._starts) != len(members):
            ranges = [(member.header, _header_bytes(member)) for member in members]
            headers = zip(members, _in_few_reads(self._fetch, ranges), strict=True)
            self._starts = array("Q", (member.data_start(header) for member, header in headers))
        return dict(zip((member.path for member in members), self._starts, strict=True))

    def _fetch(self, start: int, length: int) -> bytes | bytearray:
        self._before_each()
        return _exactly(self.checkpoint, start, length)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A piece, with its place in the checkpoint and in the converted file, in bytes."""

    piece: Piece
    item: int
    source: int
    target: int
    """From the end of the header."""

    @property
    def length(self) -> int:
        return self.piece.length


def _place(wanted: _Wanted) -> tuple[int, int]:
    return wanted.source, wanted.length


def _wanted(layout: _Layout, start: int, end: int) -> Iterator[_Wanted]:
    """Yield the pieces of a range, which begins and ends at a multiple of `_ALIGNMENT`."""
    for index in range(bisect_right(layout.ends, start), len(layout.tensors)):
        tensor = layout.tensors[index]
        begin = layout.ends[index] - tensor.size
        if begin >= end:
            break
        if not tensor.size:
            continue
        at = layout.data_starts[tensor.member.path] + tensor.offset
        first = max(0, start - begin) // tensor.item
        last = min(tensor.size, end - begin) // tensor.item
        for piece in pieces_of(tensor.shape, tensor.strides, tensor.item, first, last):
            yield _Wanted(piece, tensor.item, at + piece.source, begin + piece.target)


def _in_few_reads(
    fetch: Callable[[int, int], bytes | bytearray], ranges: Iterable[tuple[int, int]]
) -> Iterator[memoryview]:
    """Yield the bytes of each range (start, length) in ascending order; ranges close together are one
    request.

    A view is valid until the next one is asked for.
    """
    ordered = sorted(ranges)
    position = 0
    while position < len(ordered):
        start, length = ordered[position]
        end = start + length
        until = position + 1
        while until < len(ordered):
            next_start, next_length = ordered[until]
            joined = max(end, next_start + next_length)
            if next_start > end + _GAP_BYTES or joined - start > _READ_BYTES:
                break
            end = joined
            until += 1
        data = memoryview(fetch(start, end - start))
        for at, count in ordered[position:until]:
            yield data[at - start : at - start + count]
        position = until


def _header_bytes(member: ZipMember) -> int:
    """Return how many bytes from the local header on contain it and, if it is padded as usual, no data."""
    return min(member.header_length + _HEADER_BYTES, member.limit - member.header)


def _exactly(file: ReadableFile, start: int, length: int) -> bytes | bytearray:
    data = file.read(start, length)
    if len(data) != length:
        raise UnusableCheckpoint("ends too early", DAMAGED)
    return data


def _read_layout(file: ReadableFile, before_each: Callable[[], None]) -> _Layout:
    before_each()
    members = read_directory(file)
    _check_byte_order(file, members)
    pickle = members.get("data.pkl")
    if pickle is None:
        raise UnusableCheckpoint("is a zip archive without data.pkl, so no PyTorch checkpoint", DAMAGED)
    if pickle.size > MAX_PICKLE_BYTES:
        raise UnusableCheckpoint(
            f"has a pickle of {pickle.size} bytes, of which at most {MAX_PICKLE_BYTES} are read"
        )
    before_each()
    content = _content(file, pickle)
    if len(content) <= _LARGE_PICKLE_BYTES:
        return _layout(find_tensors(unpickle(content), members))
    with _LARGE_PICKLES:
        return _layout(find_tensors(unpickle(content), members))


def _content(file: ReadableFile, member: ZipMember) -> bytes:
    """Return the data of a small member."""
    begin = bytes(
        _exactly(file, member.header, min(member.limit - member.header, member.size + _HEADER_BYTES))
    )
    offset = member.data_start(begin) - member.header
    if offset + member.size <= len(begin):
        return begin[offset : offset + member.size]
    return bytes(_exactly(file, member.header + offset, member.size))


def _check_byte_order(file: ReadableFile, members: dict[str, ZipMember]) -> None:
    """Refuse elements in the order of other processors. Files before PyTorch 2.1 have no such record."""
    member = members.get("byteorder")
    if member is None:
        return
    order = _content(file, member) if member.size <= _HEADER_BYTES else b""
    if order != b"little":
        raise UnusableCheckpoint("was saved on a big-endian machine", "save it again on another one")


def _layout(tensors: list[SourceTensor]) -> _Layout:
    """Order the tensors as safetensors does: larger elements first, so that all are aligned, then by name."""
    ordered = sorted(tensors, key=lambda tensor: (*_ORDER[tensor.dtype], tensor.name.encode()))
    ends = list(accumulate(tensor.size for tensor in ordered))
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    entries |= {
        tensor.name: {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end - tensor.size, end],
        }
        for tensor, end in zip(ordered, ends, strict=True)
    }
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _Layout(len(text).to_bytes(8, "little") + text, ordered, ends, {})


#: safetensors sorts by its enumeration of types, the largest first.
_ORDER = {"F32": (0,), "BF16": (1,), "F16": (2,)}
