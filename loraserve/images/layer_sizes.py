"""Sizes of layers, from the stream of `docker save`."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import IO

from loraserve.errors import UserError

_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
#: zlib's code for gzip's format.
_GZIP = 16 + zlib.MAX_WBITS


class UnreadableLayer(UserError):
    """A layer that is not in the stream, or compressed in another way than with gzip."""


@dataclass(frozen=True)
class Layer:
    """A layer of an image."""

    diff_id: str
    """Digest of the uncompressed tar file."""
    unpacked: int
    """Bytes of the uncompressed tar file."""
    compressed: int
    """Bytes as gzip, about what a registry stores."""


def measure(
    archive: IO[bytes], diff_ids: Collection[str], *, skipped: Collection[str] = ()
) -> dict[str, Layer]:
    """Return the layers with these digests in a stream of `docker save`.

    podman, buildah and most versions of Docker name a layer's file by its digest, so those of `skipped` need
    not be read. Others name it by the digest of its compressed form, or by neither: so all other files are
    read and recognised by their content.

    Raises `UnreadableLayer` if one is not found.
    """
    names = [digest.removeprefix("sha256:") for digest in skipped]
    found: dict[str, Layer] = {}
    with tarfile.open(fileobj=archive, mode="r|") as members:
        for member in members:
            is_skipped = any(name in member.name for name in names)
            content = members.extractfile(member) if member.isreg() and not is_skipped else None
            if content is None or len(found) == len(diff_ids):
                continue
            layer = _read(content, member.size)
            if layer.diff_id in diff_ids:
                found[layer.diff_id] = layer
    missing = set(diff_ids) - found.keys()
    if missing:
        raise UnreadableLayer(
            f"the builder's archive lacks {', '.join(sorted(missing))}, or has it compressed with something "
            "other than gzip, such as zstd: set the builder's compression to gzip and build again"
        )
    return found


def _read(content: IO[bytes], size: int) -> Layer:
    chunk = content.read(_CHUNK)
    is_compressed = chunk.startswith(_GZIP_MAGIC)
    unpack, pack = zlib.decompressobj(_GZIP), zlib.compressobj(wbits=_GZIP)
    digest = hashlib.sha256()
    unpacked = packed = 0
    while chunk:
        data = unpack.decompress(chunk) if is_compressed else chunk
        digest.update(data)
        unpacked += len(data)
        if not is_compressed:
            packed += len(pack.compress(data))
        chunk = content.read(_CHUNK)
    packed += len(pack.flush())
    return Layer(f"sha256:{digest.hexdigest()}", unpacked, size if is_compressed else packed)
