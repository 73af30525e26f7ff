"""The archive of a release: equal bytes, and no way out of its folder."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from loraserve.release.archive import pack, sha256, unpack
from loraserve.release.release import ReleaseError


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    files = {"b/one.json": "1", "a.json": "2", "b-2/x": "3", "b/" + "long" * 60: "ü"}
    one, other = folder(tmp_path / "one", files), folder(tmp_path / "other", dict(reversed(files.items())))
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "a.json").chmod(0o600)
    (other / "empty").mkdir()
    for name in ("one", "other"):
        pack(tmp_path / name, tmp_path / f"{name}.tar")
    assert sha256(tmp_path / "one.tar") == sha256(tmp_path / "other.tar")
    (other / "a.json").write_text("3")
    pack(other, tmp_path / "other.tar")
    assert sha256(tmp_path / "one.tar") != sha256(tmp_path / "other.tar")
    assert one.is_dir()


def test_what_is_unpacked_is_what_was_packed(tmp_path: Path) -> None:
    packed = folder(tmp_path / "packed", {"a/run.sh": "#!/bin/sh", "a/.hidden": "x", "b": ""})
    (packed / "a/run.sh").chmod(0o700)
    pack(packed, tmp_path / "release.tar")
    unpack(tmp_path / "release.tar", tmp_path / "unpacked")
    found = {
        path.relative_to(tmp_path / "unpacked").as_posix(): path
        for path in (tmp_path / "unpacked").rglob("*")
        if path.is_file()
    }
    assert {name: path.read_text() for name, path in found.items()} == {
        "a/run.sh": "#!/bin/sh",
        "a/.hidden": "x",
        "b": "",
    }
    assert {name: path.stat().st_mode & 0o111 for name, path in found.items()} == {
        "a/run.sh": 0o111,
        "a/.hidden": 0,
        "b": 0,
    }


@pytest.mark.parametrize("target", ["/etc", "gone", "file"])
def test_a_link_is_not_packed(target: str, tmp_path: Path) -> None:
    packed = folder(tmp_path / "packed", {"a/file": "x"})
    (packed / "a/link").symlink_to(target)
    with pytest.raises(ReleaseError, match="a/link in the assembly is no plain file"):
        pack(packed, tmp_path / "release.tar")


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for field, value in fields.items():
        setattr(found, field, value)
    return found


HOSTILE = {
    "an absolute path": [member("/etc/cron.d/x", size=1)],
    "a path to the parent": [member("a/../../x", size=1)],
    "a path in another form": [member("./a", size=1)],
    "a path of Windows": [member("..\\x", size=1)],
    "a link to a folder outside, and a file in it": [
        member("a", tarfile.SYMTYPE, linkname="/etc"),
        member("a/x", size=1),
    ],
    "a link inside": [member("x", size=1), member("y", tarfile.SYMTYPE, linkname="x")],
    "a hard link": [member("y", tarfile.LNKTYPE, linkname="/etc/passwd")],
    "a device": [member("zero", tarfile.CHRTYPE, devmajor=1, devminor=5)],
    "a pipe": [member("pipe", tarfile.FIFOTYPE)],
    "a name twice": [member("a", size=1), member("a", size=1)],
    "a file and a folder": [member("a", size=1), member("a/b", size=1)],
    "a sparse file of 8 GiB": [member("a", size=1, pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**33)})],
    "more than there is": [member("a", size=2**33)],
}  # fmt: skip


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_is_written(
    members: list[tarfile.TarInfo], tmp_path: Path
) -> None:
    archive = tmp_path / "release.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as content:
        content.addfile(member("first", size=1), io.BytesIO(b"x"))
        for each in members:
            content.addfile(each, io.BytesIO(b"x") if each.size == 1 else None)
    with pytest.raises(ReleaseError, match=r"release\.tar"):
        unpack(archive, tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release.tar", "unpacked"]


def compressed(archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as content:
        content.addfile(member("a", size=1), io.BytesIO(b"x"))


DAMAGED: dict[str, Callable[[Path], object]] = {
    "compressed": compressed,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "other content": lambda path: path.write_bytes(b"x" * 1024),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_refused(damage: Callable[[Path], object], tmp_path: Path) -> None:
    archive = tmp_path / "release.tar"
    pack(folder(tmp_path / "packed", {"a": "x" * 5000}), archive)
    damage(archive)
    with pytest.raises(ReleaseError, match="fetch the release again"):
        unpack(archive, tmp_path / "unpacked")
