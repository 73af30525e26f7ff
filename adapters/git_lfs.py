"""Git LFS pointers: small text files that a clone without git-lfs has in place of large ones.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: "The first key is always `version`", and "Pointer
files must be less than 1024 bytes in size".
"""

from __future__ import annotations

from adapters.files import ReadableFile

#: Today's, and those of its first releases (git-lfs, `lfs/pointer.go`).
_FIRST_LINES = (
    b"version https://git-lfs.github.com/spec/v1\n",
    b"version https://hawser.github.com/spec/v1\n",
    b"version http://git-media.io/v/2\n",
)
#: As many bytes as a safetensors file has before its header.
FIRST_BYTES = b"version "
#: Pointers are smaller.
MAX_POINTER_BYTES = 1024
PROBLEM = "is a Git LFS pointer, not the file itself"
#: Also for the Hub and S3, which have a pointer only if it was uploaded from such a clone.
REMEDY = "run `git lfs install` and `git lfs pull` in the clone that it is from, and save or upload it again"


def is_pointer(content: bytes | bytearray) -> bool:
    """Return whether a file's content is a pointer's."""
    return len(content) < MAX_POINTER_BYTES and content.replace(b"\r\n", b"\n").startswith(_FIRST_LINES)


def has_pointer(file: ReadableFile) -> bool:
    """Return whether a file is a pointer; reads it only if it is small enough to be one."""
    return 0 < file.size < MAX_POINTER_BYTES and is_pointer(file.read(0, file.size))
