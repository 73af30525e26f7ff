"""Sizes of layers in the archives that docker, podman and buildah write."""

import gzip
import hashlib
import io
import tarfile

import pytest

from loraserve.images.layer_sizes import UnreadableLayer, measure

CONTENT = b"layer " * 1000
DIFF_ID = hashlib.sha256(CONTENT).hexdigest()
PACKED = gzip.compress(CONTENT, mtime=0)  # without the time, which would be in the names of tests


def archive(**files: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{DIFF_ID}.tar", CONTENT),  # podman, buildah
        (f"blobs/sha256/{DIFF_ID}", CONTENT),  # docker 25
        ("0123/layer.tar", CONTENT),  # docker 24
        (f"blobs/sha256/{hashlib.sha256(PACKED).hexdigest()}", PACKED),  # docker with containerd's store
    ],
)
def test_a_layer_is_found_by_its_content(name: str, content: bytes) -> None:
    base = {"ba5e.tar": b"base" * 100, "manifest.json": b"[]"}
    found = measure(archive(**base, **{name: content}), [f"sha256:{DIFF_ID}"], skipped=["sha256:ba5e"])
    layer = found[f"sha256:{DIFF_ID}"]
    assert list(found.values()) == [layer]
    assert layer.unpacked == len(CONTENT)
    assert layer.compressed == pytest.approx(len(PACKED), abs=30)


def test_a_layer_in_another_compression_is_named_with_the_remedy() -> None:
    zstandard = b"\x28\xb5\x2f\xfd" + CONTENT
    with pytest.raises(UnreadableLayer, match=rf"sha256:{DIFF_ID}.*compression to gzip"):
        measure(archive(**{"blobs/sha256/1": zstandard}), [f"sha256:{DIFF_ID}"])
