"""Reading an image while a builder writes it."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence

import pytest

from loraserve.images.scan.archive import ArchiveError, merged, read_image
from tests.unit.loraserve.images.scan.saved_image import (
    Files,
    buildah_archive,
    configuration,
    docker_archive,
    layer,
    python_package,
)

Write = Callable[[Sequence[bytes]], bytes]


class Pipe(io.RawIOBase):
    """A stream that cannot seek and answers in small parts."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, 1000) if size >= 0 else size)


def seen(*layers: Files, write: Write = buildah_archive) -> dict[str, bytes]:
    return merged(read_image(io.BytesIO(write([layer(files) for files in layers]))).layers)


@pytest.mark.parametrize("write", [buildah_archive, docker_archive])
def test_an_image_is_read_from_a_pipe_in_the_formats_of_both_builders(write: Write) -> None:
    layers = [
        layer({"var/lib/dpkg/status": b"Package: a\n", "bin/sh": b"x" * 3000}),
        layer({"etc/other": b"b"}),
    ]
    image = read_image(Pipe(write(layers)))  # type: ignore[arg-type]
    assert image.id == f"sha256:{hashlib.sha256(configuration(layers)).hexdigest()}"
    assert image.diff_ids == tuple(f"sha256:{hashlib.sha256(content).hexdigest()}" for content in layers)
    assert [found.files for found in image.layers] == [{"var/lib/dpkg/status": b"Package: a\n"}, {}]


def test_an_upper_layer_replaces_and_removes_files_of_lower_ones() -> None:
    lower: Files = {**python_package("a", "1"), **python_package("b", "1"), "var/lib/dpkg/status": b"old"}
    folder = "usr/lib/python3/dist-packages"
    upper: Files = {f"{folder}/.wh.a-1.dist-info": b"", "var/lib/dpkg/status": b"new"}
    assert seen(lower, upper) == {**python_package("b", "1"), "var/lib/dpkg/status": b"new"}


def test_an_opaque_directory_has_only_what_its_layer_has() -> None:
    folder = "usr/lib/python3/dist-packages"
    upper: Files = {f"{folder}/.wh..wh..opq": b"", **python_package("c", "1")}
    assert seen(python_package("a", "1"), upper) == python_package("c", "1")


def test_a_symlink_in_the_place_of_a_directory_hides_it() -> None:
    assert seen(python_package("a", "1"), {"usr/lib/python3->": b"/opt/python"}) == {}


def test_a_file_that_comes_back_after_its_removal_is_seen() -> None:
    folder = "usr/lib/python3/dist-packages"
    removal: Files = {f"{folder}/.wh.a-1.dist-info": b""}
    assert seen(python_package("a", "1"), removal, python_package("a", "1")) == python_package("a", "1")


def test_the_second_name_of_a_file_has_its_content() -> None:
    [(path, content)] = python_package("a", "1").items()
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        first = tarfile.TarInfo(f"opt/pkgs/{path}")
        first.size = len(content)
        archive.addfile(first, io.BytesIO(content))
        second = tarfile.TarInfo(path)
        second.type, second.linkname = tarfile.LNKTYPE, f"opt/pkgs/{path}"
        archive.addfile(second)
    image = read_image(io.BytesIO(buildah_archive([output.getvalue()])))
    assert merged(image.layers)[path] == content


def test_equal_layers_of_an_image_are_one_file_of_the_archive() -> None:
    empty = layer({})
    assert (
        len(read_image(io.BytesIO(docker_archive([empty, layer(python_package("a", "1")), empty]))).layers)
        == 3
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image in the format of docker save"),
        (b"Error: no such image\n" * 100, "not an image in the format of docker save"),
        (buildah_archive([layer({})])[:2048], "unexpected end of data"),
        (layer({"etc/other": b"not an image"}), "not one image"),
    ],
)
def test_a_stream_that_is_no_image_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        read_image(io.BytesIO(content))


def test_a_layer_in_a_compression_that_is_not_read_is_refused() -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        member = tarfile.TarInfo("blobs/sha256/1")
        member.size = 8
        archive.addfile(member, io.BytesIO(b"\x28\xb5\x2f\xfd0000"))
    with pytest.raises(ArchiveError, match="compressed with zstd"):
        read_image(io.BytesIO(output.getvalue()))
