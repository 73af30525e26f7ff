"""The archive of a release: equal content gives equal bytes, and a hostile archive is refused.

The format is POSIX.1-2001 (pax), uncompressed: another zlib would give other bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from loraserve.lambda_layer import MODIFIED
from loraserve.release.release import ReleaseError

#: The kinds of members that `pack` writes: nothing but plain files, whose folders are made from their names.
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


def pack(folder: Path, archive: Path) -> None:
    """Write the files below a folder into an archive: sorted, without owners and times.

    Of the modes it keeps whether a file is executable, as git does: the rest depends on the umask. Raises
    `ReleaseError` for a link, which may point out of the folder.
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as content:
        for path in _files(folder):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise ReleaseError(
                    f"{member.name} in the assembly is no plain file, and a release has no links: replace it "
                    "in the repository by a copy"
                )
            member.size, member.mtime = status.st_size, MODIFIED
            member.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
            with path.open("rb") as file:
                content.addfile(member, file)


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of an archive of `pack` into the new `folder`; raises `ReleaseError` for any other.

    An archive comes over a network. So all members are checked before the first is written: they are plain
    files with different names inside the folder. It is not compressed, and sparse members, whose files are
    larger than what the archive has of them, are refused: it cannot fill the disk.
    """
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:") as content:
            members = content.getmembers()
            for problem in _problems(members):
                raise ReleaseError(
                    f"{archive}: {problem}; it is no archive of `make release`: fetch the release again from "
                    "where it was built"
                )
            # Python's own checks for data come on top: https://docs.python.org/3/library/tarfile.html
            content.extractall(folder, members, filter="data")
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ReleaseError(
            f"{archive} cannot be unpacked: {error}; fetch the release again from where it was built"
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file; raises `ReleaseError` if there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReleaseError(
            f"{path} cannot be read: {error.strerror}; name the folder of a release, which `make release` "
            "writes"
        ) from error


def _files(folder: Path) -> Iterator[Path]:
    """Yield all that is no folder, sorted by name, a link to a folder included."""
    found = []
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        found += [Path(root) / name for name in (*files, *links)]
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _problems(members: list[tarfile.TarInfo]) -> Iterator[str]:
    names: set[str] = set()
    for member in members:
        path = PurePosixPath(member.name)
        if member.type not in _PLAIN or member.issparse():
            yield f"{member.name!r} is no plain file"
        if path.is_absolute() or ".." in path.parts or path.as_posix() != member.name or "\\" in member.name:
            yield f"{member.name!r} is no path inside the archive"
        if member.name in names:
            yield f"{member.name!r} is in it twice"
        names.add(member.name)
    for name in names:
        for parent in PurePosixPath(name).parents:
            if parent.as_posix() in names:
                yield f"{parent.as_posix()!r} is a file and a folder in it"
