"""An image as a stream in the format of `docker save`: the few files of its layers that describe packages.

The layers are read while the builder writes them, so an image of 10 GB needs neither disk nor memory for its
content. Layers may be uncompressed or compressed with gzip. Names of the format: the image specification of
Docker 1.2 (manifest.json) and, for whiteouts, the OCI image specification.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from loraserve.errors import UserError

#: Files that describe packages: Python's, a Python without a package manager, conda's, Debian's, and the
#: distribution's name.
_WANTED = re.compile(
    r".*\.dist-info/METADATA|.*\.egg-info/PKG-INFO|.*\.egg-info|(.*/)?pyvenv\.cfg|(.*/)?conda-meta/[^/]+\.json"
    r"|var/lib/dpkg/status|var/lib/dpkg/status\.d/[^/]+|(etc|usr/lib)/os-release"
)
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: Limit of each file that is read; dpkg's status of a desktop is below 10 MB.
_FILE_BYTES = 64 * 1024 * 1024


class ArchiveError(UserError):
    """A stream that is not one image in the format of `docker save`."""


@dataclass
class ImageLayer:
    """Changes of one layer to the files that describe packages."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Content by path, without a leading slash."""
    removed: set[str] = field(default_factory=set)
    """Paths that hide those of lower layers, and all below them."""
    emptied: set[str] = field(default_factory=set)
    """Directories whose content in lower layers is hidden."""

    def hides(self, path: str) -> bool:
        """Return whether a file of a lower layer is hidden by this one."""
        parents = [str(parent) for parent in PurePosixPath(path).parents]
        return not self.removed.isdisjoint([path, *parents]) or not self.emptied.isdisjoint(parents)


@dataclass(frozen=True)
class SavedImage:
    """An image's configuration and layers."""

    id: str
    """Digest of the configuration, e.g. `sha256:…`: equal for equal images, whichever builder has them."""
    configuration: Mapping[str, Any]
    layers: tuple[ImageLayer, ...]
    """The lowest first."""

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Digests of the layers, uncompressed."""
        return tuple(self.configuration["rootfs"]["diff_ids"])


def merged(layers: Iterable[ImageLayer]) -> dict[str, bytes]:
    """Return the files that a container of these layers sees."""
    files: dict[str, bytes] = {}
    for files in views(layers):  # noqa: B007 — the last one
        pass
    return files


def views(layers: Iterable[ImageLayer]) -> Iterator[dict[str, bytes]]:
    """Yield, for each layer, the files that a container of it and of those below sees."""
    seen: dict[str, bytes] = {}
    for layer in layers:
        seen = {path: content for path, content in seen.items() if not layer.hides(path)} | layer.files
        yield seen


def read_image(stream: IO[bytes]) -> SavedImage:
    """Read the one image of a stream; raises `ArchiveError`."""
    documents: dict[str, bytes] = {}
    layers: dict[str, ImageLayer] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = _normal(member.name)
                if member.issym():
                    links[name] = _normal(posixpath.join(posixpath.dirname(name), member.linkname))
                elif member.islnk():
                    links[name] = _normal(member.linkname)
                elif member.isfile():
                    _read_member(name, archive.extractfile(member), documents, layers)
    except tarfile.TarError as error:
        raise ArchiveError(
            f"the builder's output is not an image in the format of docker save: {error}"
        ) from error
    return _assembled(documents, layers, links)


def _read_member(name: str, content: Any, documents: dict[str, bytes], layers: dict[str, ImageLayer]) -> None:
    start: bytes = content.peek(len(_ZSTD))[: len(_ZSTD)]
    if start[:1] in (b"{", b"["):
        documents[name] = content.read(_FILE_BYTES)
    elif start == _ZSTD:
        raise ArchiveError(f"layer {name} is compressed with zstd, which is not read: build the image again")
    elif name.startswith("blobs/") or name.endswith(".tar"):
        layers[name] = _read_layer(content)


def _read_layer(content: IO[bytes]) -> ImageLayer:
    layer = ImageLayer()
    with tarfile.open(fileobj=content, mode="r|*") as files:
        for member in files:
            path = _normal(member.name)
            folder, base = posixpath.split(path)
            if base == _OPAQUE:
                layer.emptied.add(folder)
            elif base.startswith(_WHITEOUT):
                layer.removed.add(posixpath.join(folder, base.removeprefix(_WHITEOUT)))
            elif member.issym():
                layer.removed.add(path)
            elif _WANTED.fullmatch(path) and member.islnk():
                # A second name of a file: its content came under the first one.
                layer.files[path] = layer.files.get(_normal(member.linkname), b"")
            elif _WANTED.fullmatch(path) and member.isfile():
                if member.size > _FILE_BYTES:
                    raise ArchiveError(
                        f"{path} in the image has {member.size} bytes: is it what its name says?"
                    )
                source = files.extractfile(member)
                layer.files[path] = b"" if source is None else source.read()
    return layer


def _assembled(
    documents: Mapping[str, bytes], layers: Mapping[str, ImageLayer], links: Mapping[str, str]
) -> SavedImage:
    try:
        [entry] = json.loads(documents["manifest.json"])
        content = documents[links.get(entry["Config"], entry["Config"])]
        configuration = json.loads(content)
        names = [links.get(name, name) for name in entry["Layers"]]
        ordered = tuple(layers[name] for name in names)
        if len(ordered) != len(configuration["rootfs"]["diff_ids"]):
            raise ValueError("layers of another image")
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError(
            "the builder's output is not one image in the format of docker save "
            f"({type(error).__name__}: {error})"
        ) from error
    return SavedImage(f"sha256:{hashlib.sha256(content).hexdigest()}", configuration, ordered)


def _normal(name: str) -> str:
    return posixpath.normpath(f"/{name}")[1:]
