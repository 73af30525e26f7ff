"""The directory of a PyTorch checkpoint: a zip archive in the one layout that `torch.save` writes.

The archive is untrusted. Python's `zipfile` accepts what other readers read differently: duplicate names,
overlapping members, data before the first member and after the last. This reader accepts only members that
are stored (not compressed) and follow each other without overlap, under names that each occur once.

Layout: APPNOTE.TXT 6.3.10 of PKWARE, and `caffe2/serialize/inline_container.cc` of PyTorch: one folder for
all members, data aligned by the extra field of the local header, a zip64 end record in every file since 1.6.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from adapters import git_lfs
from adapters.files import ReadableFile
from adapters.strict_json import shown
from ingest.pytorch.errors import DAMAGED, SAVE_AGAIN, UnusableCheckpoint

#: Members that are read. A file of PEFT has one for each tensor and up to six others.
MAX_MEMBERS = 10_100
#: Bytes of the directory that are read: about 200 for each member.
MAX_DIRECTORY_BYTES = 2 * 1024 * 1024
#: Bytes of a file that are converted: the adapter's own limit (`check_adapter.MAX_WEIGHTS_BYTES`) and the
#: rest of a storage of which the adapter has a part only.
MAX_FILE_BYTES = 8 * 1024**3

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
LOCAL_SIGNATURE = b"PK\x03\x04"
#: The end of a local header: the lengths of name and extra field.
_LENGTHS = struct.Struct("<2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_ENTRY_SIGNATURE = b"PK\x01\x02"
_END = struct.Struct("<4s4H2IH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sIQI")
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_END64 = struct.Struct("<4sQ2H2I4Q")
_END64_SIGNATURE = b"PK\x06\x06"
#: Values that point to a 64-bit field.
_IN_ZIP64 = 0xFFFFFFFF
_COUNT_IN_ZIP64 = 0xFFFF
_ZIP64_FIELD = 1
_ENCRYPTED = 0x0041
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_TAR_MAGIC = slice(257, 262)
_TAR_BLOCK_BYTES = 512
_TOO_OLD = (
    "save it again: save_pretrained(…, safe_serialization=True) of a current PEFT, or torch.save of "
    "torch 1.6 or newer"
)


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of the archive; its data begin behind its local header, whose length only the header has."""

    path: str
    """Path with the archive's folder."""
    header: int
    """Offset of the local header in the file."""
    size: int
    """Bytes of its data."""
    limit: int
    """Offset at which the next member, or the directory, begins."""

    def data_start(self, header: bytes | bytearray | memoryview) -> int:
        """Return the offset of the data, from the bytes of the file at `self.header`."""
        if len(header) < LOCAL_HEADER.size:
            raise UnusableCheckpoint("ends within a member", DAMAGED)
        signature, _, flags, method, *_ = LOCAL_HEADER.unpack_from(header)
        name_length, extra_length = _LENGTHS.unpack_from(header, LOCAL_HEADER.size - _LENGTHS.size)
        name = bytes(header[LOCAL_HEADER.size : LOCAL_HEADER.size + name_length])
        if signature != LOCAL_SIGNATURE or name != self.path.encode() or method or flags & _ENCRYPTED:
            raise UnusableCheckpoint(
                f"has a directory that does not fit its members, at {shown(self.path)}", DAMAGED
            )
        start: int = self.header + LOCAL_HEADER.size + name_length + extra_length
        if start + self.size > self.limit:
            raise UnusableCheckpoint(f"has overlapping members, at {shown(self.path)}", DAMAGED)
        return start

    @property
    def header_length(self) -> int:
        """Bytes of the local header without its extra field."""
        return LOCAL_HEADER.size + len(self.path.encode())


def read_directory(file: ReadableFile) -> dict[str, ZipMember]:
    """Return the members by their path below the archive's folder, e.g. `data/0`.

    Reads the end of the file. Raises `UnusableCheckpoint`.
    """
    if file.size > MAX_FILE_BYTES:
        raise UnusableCheckpoint(f"has {file.size} bytes, of which at most {MAX_FILE_BYTES} are read")
    _check_start(bytes(file.read(0, _TAR_BLOCK_BYTES)))
    tail = bytes(file.read(max(0, file.size - _TAIL_BYTES), _TAIL_BYTES))
    start, length, count = _end(file, tail)
    if length <= len(tail) and start >= file.size - len(tail):
        offset = start - (file.size - len(tail))
        directory = tail[offset : offset + length]
    else:
        directory = bytes(file.read(start, length))
    if len(directory) != length:
        raise UnusableCheckpoint("ends within its directory", DAMAGED)
    return _members(directory, count, start)


_TAIL_BYTES = 64 * 1024


def _check_start(start: bytes) -> None:
    if start.startswith(LOCAL_SIGNATURE):
        return
    if start.startswith(_LEGACY_MAGIC) or start[_TAR_MAGIC] == b"ustar":
        raise UnusableCheckpoint("is in the format of PyTorch before 1.6", _TOO_OLD)
    if start[:1] == b"\x80":
        raise UnusableCheckpoint("is a bare pickle, which PyTorch does not write since 1.6", _TOO_OLD)
    if git_lfs.is_pointer(start):
        raise UnusableCheckpoint(git_lfs.PROBLEM, git_lfs.REMEDY)
    if start[8:9] == b"{":
        raise UnusableCheckpoint("is a safetensors file", "rename it to adapter_model.safetensors")
    raise UnusableCheckpoint("is not a PyTorch checkpoint", DAMAGED)


def _end(file: ReadableFile, tail: bytes) -> tuple[int, int, int]:
    """Return offset and length of the directory, and the number of its entries."""
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != _END_SIGNATURE:
        raise UnusableCheckpoint("does not end with the directory of a zip archive", DAMAGED)
    _, disk, directory_disk, here, count, length, start, comment = _END.unpack_from(tail, at)
    end_at = file.size - _END.size
    locator_at = at - _LOCATOR.size
    if locator_at >= 0 and tail[locator_at : locator_at + 4] == _LOCATOR_SIGNATURE:
        _, end64_disk, end64_at, disks = _LOCATOR.unpack_from(tail, locator_at)
        begin = end64_at - (file.size - len(tail))
        if begin != locator_at - _END64.size or end64_disk or disks != 1:
            raise UnusableCheckpoint("has a zip64 directory that is not where it says", DAMAGED)
        _, size64, _, _, disk64, dir_disk64, here64, count64, length64, start64 = _END64.unpack_from(
            tail, begin
        )
        given = (disk, directory_disk, here, count, length, start)
        full = (disk64, dir_disk64, here64, count64, length64, start64)
        overflow = (*[_COUNT_IN_ZIP64] * 4, _IN_ZIP64, _IN_ZIP64)
        if tail[begin : begin + 4] != _END64_SIGNATURE or size64 != _END64.size - 12:
            raise UnusableCheckpoint("has a damaged zip64 directory", DAMAGED)
        if any(short not in {long, most} for short, long, most in zip(given, full, overflow, strict=True)):
            raise UnusableCheckpoint("has two directories that differ", DAMAGED)
        disk, directory_disk, here, count, length, start = full
        end_at = end64_at
    if disk or directory_disk or here != count or comment:
        raise UnusableCheckpoint("is an archive in several parts, or with a comment", SAVE_AGAIN)
    if count > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise UnusableCheckpoint(f"has {count} members, of which at most {MAX_MEMBERS} are read")
    if start + length != end_at:
        raise UnusableCheckpoint("has a directory that is not where it says", DAMAGED)
    return start, length, count


def _members(directory: bytes, count: int, end: int) -> dict[str, ZipMember]:
    found: list[tuple[int, int, str]] = []
    position = 0
    for _ in range(count):
        if len(directory) - position < _ENTRY.size:
            raise UnusableCheckpoint("ends within its directory", DAMAGED)
        header, size, path, length = _entry(directory, position)
        found.append((header, size, path))
        position += length
    if position != len(directory):
        raise UnusableCheckpoint("has bytes in its directory that are no member", DAMAGED)
    return _checked(sorted(found), end)


def _entry(directory: bytes, position: int) -> tuple[int, int, str, int]:
    """Return an entry's local header offset, size and path, and the bytes that the entry takes."""
    (
        signature, _, _, flags, method, _, _, _, packed, size, name_length, extra_length, comment_length,
        disk, _, _, header,
    ) = _ENTRY.unpack_from(directory, position)  # fmt: skip
    if signature != _ENTRY_SIGNATURE:
        raise UnusableCheckpoint("has a damaged directory", DAMAGED)
    name_at = position + _ENTRY.size
    extra_at = name_at + name_length
    path = _path(directory[name_at:extra_at])
    extra = directory[extra_at : extra_at + extra_length]
    size, packed, header = _widened(path, extra, size, packed, header)
    if method or packed != size:
        raise UnusableCheckpoint(f"has a compressed member, {shown(path)}, which PyTorch does not write")
    if flags & _ENCRYPTED or disk or comment_length:
        raise UnusableCheckpoint(f"has a member that PyTorch does not write, {shown(path)}")
    return header, size, path, _ENTRY.size + name_length + extra_length


def _path(name: bytes) -> str:
    try:
        path = name.decode()
    except UnicodeDecodeError as error:
        raise UnusableCheckpoint("has a member whose name is not UTF-8") from error
    folder, _, rest = path.partition("/")
    parts = [folder, *rest.split("/")]
    if not rest or any(part in {"", ".", ".."} for part in parts) or "\\" in path or not path.isprintable():
        raise UnusableCheckpoint(f"has a member with an unsafe name, {shown(path)}")
    return path


def _widened(path: str, extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Return size, compressed size and offset, from the zip64 field where the entry refers to it."""
    wanted = [value == _IN_ZIP64 for value in (size, packed, header)]
    field: bytes | None = None
    position = 0
    while position < len(extra):
        if len(extra) - position < 4:
            raise UnusableCheckpoint(f"has a damaged directory, at {shown(path)}", DAMAGED)
        kind, length = struct.unpack_from("<2H", extra, position)
        body = extra[position + 4 : position + 4 + length]
        if len(body) != length or (kind == _ZIP64_FIELD and field is not None):
            raise UnusableCheckpoint(f"has a damaged directory, at {shown(path)}", DAMAGED)
        if kind == _ZIP64_FIELD:
            field = body
        position += 4 + length
    if not any(wanted):
        return size, packed, header
    if field is None or len(field) != 8 * sum(wanted):
        raise UnusableCheckpoint(f"has a damaged zip64 size, at {shown(path)}", DAMAGED)
    values = iter(struct.unpack(f"<{sum(wanted)}Q", field))
    size, packed, header = (
        next(values) if wide else value for value, wide in zip((size, packed, header), wanted, strict=True)
    )
    return size, packed, header


def _checked(found: list[tuple[int, int, str]], end: int) -> dict[str, ZipMember]:
    """Check that the members follow each other from the start of the file, and that each name is there once.

    Names that differ in case only are equal: PyTorch's own reader does not distinguish them.
    """
    if not found or found[0][0] != 0:
        raise UnusableCheckpoint("does not begin with its first member", DAMAGED)
    members: dict[str, ZipMember] = {}
    seen: set[str] = set()
    folder = found[0][2].partition("/")[0]
    limits = [header for header, _, _ in found[1:]] + [end]
    for (header, size, path), limit in zip(found, limits, strict=True):
        member = ZipMember(path, header, size, limit)
        if header + member.header_length + size > limit:
            raise UnusableCheckpoint(
                f"has overlapping members, or a size that cannot be, at {shown(path)}", DAMAGED
            )
        if path.casefold() in seen:
            raise UnusableCheckpoint(f"has two members of the name {shown(path)}")
        seen.add(path.casefold())
        start, _, rest = path.partition("/")
        if start != folder:
            raise UnusableCheckpoint(f"has members in two folders, {shown(folder)} and {shown(start)}")
        members[rest] = member
    return members
