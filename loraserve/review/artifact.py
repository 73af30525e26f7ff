"""The artifact of a review's run: a zip that the pull request's own code wrote, so nothing in it is trusted.

Nothing is unpacked: the two files are read in memory, up to a limit. Standard library only.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

from loraserve.errors import UserError
from loraserve.review.document import ReviewDocument, read

#: Name of the artifact, in .github/workflows/review.yml.
NAME = "review"
#: Bytes of the zip. The largest reviews that were measured have less than 1 MB.
MAX_ARCHIVE = 10_000_000
#: Bytes of the document.
MAX_DOCUMENT = 20_000_000
_DOCUMENT = "review.json"
_NUMBER = "pull-request.txt"
_MAX_NUMBER = 20
#: What `zipfile` and its decompressors raise for bytes that are no zip: offsets, names, streams, methods.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError, RuntimeError),
)
_CHECK = "check what the pull request's review writes"


class ArtifactError(UserError):
    """An artifact that is not that of a review."""


@dataclass(frozen=True)
class ReviewArtifact:
    """The content of an artifact."""

    pull_request: int
    """The number that it claims."""
    document: ReviewDocument | None
    """None if the review ended without one."""


def contents(archive: bytes) -> ReviewArtifact:
    """Read an artifact; raises `ArtifactError` or `DocumentError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            number = _file(files, _NUMBER, _MAX_NUMBER)
            document = _file(files, _DOCUMENT, MAX_DOCUMENT)
    except _UNREADABLE as error:
        raise ArtifactError(f"the artifact is not a readable zip ({error}); {_CHECK}") from error
    if number is None or re.fullmatch(rb"[1-9][0-9]{0,9}\s*", number) is None:
        raise ArtifactError(f"{_NUMBER} of the artifact is no number; {_CHECK}")
    return ReviewArtifact(int(number), None if document is None else read(_text(document)))


def _file(files: zipfile.ZipFile, name: str, limit: int) -> bytes | None:
    """Return the file's content; a zip may give a smaller size than the content has, so the reading stops."""
    if name not in files.namelist():
        return None
    with files.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ArtifactError(f"{name} of the artifact has more than {limit:,} bytes; {_CHECK}")
    return content


def _text(document: bytes) -> str:
    try:
        return document.decode()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{_DOCUMENT} of the artifact is not UTF-8; {_CHECK}") from error
