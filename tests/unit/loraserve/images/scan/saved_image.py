"""Images in the format of `docker save`, and a builder's store that has them."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from loraserve.images.builders import Buildah

#: Of one layer: content by path. None is a directory; a path that ends with `->` is a symlink to the content.
Files = Mapping[str, bytes | None]


def python_package(
    name: str, version: str, folder: str = "usr/lib/python3/dist-packages"
) -> dict[str, bytes]:
    """The file that describes an installed Python package; the text below its headers is the readme."""
    content = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: readme\n".encode()
    return {f"{folder}/{name.replace('-', '_')}-{version}.dist-info/METADATA": content}


def layer(files: Files) -> bytes:
    """A layer as a tar file; names begin with ./ as those of some builders."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path.removesuffix('->')}")
            if content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            elif path.endswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, content.decode()
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def configuration(layers: Sequence[bytes]) -> bytes:
    diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    return json.dumps({"created": "1970-01-01T00:00:00Z", "os": "linux", "rootfs": rootfs}).encode()


def buildah_archive(layers: Sequence[bytes]) -> bytes:
    """As `buildah push docker-archive:` writes it: layers first, with links to them, and the manifest at the end."""
    config = configuration(layers)
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    files = {f"{hashlib.sha256(content).hexdigest()}.tar": content for content in layers}
    members: list[tuple[str, bytes | str]] = [*files.items(), (name, config)]
    for file in files:
        members += [(f"{file[:12]}/layer.tar", f"../{file}"), (f"{file[:12]}/VERSION", b"1.0")]
    manifest = [
        {"Config": name, "Layers": [f"{hashlib.sha256(content).hexdigest()}.tar" for content in layers]}
    ]
    return _tar([*members, ("manifest.json", json.dumps(manifest).encode())])


def docker_archive(layers: Sequence[bytes]) -> bytes:
    """As Docker's containerd store writes it: an OCI layout, the layers compressed, the manifest beside it."""
    config = configuration(layers)
    blobs = [gzip.compress(content, mtime=0) for content in layers]
    paths = [f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}" for blob in (config, *blobs)]
    manifest = [{"Config": paths[0], "RepoTags": ["image:1"], "Layers": paths[1:]}]
    return _tar(
        [
            ("blobs/sha256/0", b'{"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}'),
            *dict(zip(paths, (config, *blobs), strict=True)).items(),
            ("index.json", b'{"manifests": []}'),
            ("manifest.json", json.dumps(manifest).encode()),
            ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        ]
    )


def _tar(members: Sequence[tuple[str, bytes | str]]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


@dataclass(frozen=True)
class Store(Buildah):
    """A builder's store with images in memory: layers by name."""

    program: str = "buildah"
    images: dict[str, list[bytes]] = field(default_factory=dict)

    def has(self, image: str) -> bool:
        return image in self.images

    def diff_ids(self, image: str) -> tuple[str, ...]:
        found: dict[str, Any] = json.loads(configuration(self.images[image]))
        return tuple(found["rootfs"]["diff_ids"])

    @contextmanager
    def save(self, image: str) -> Iterator[IO[bytes]]:
        yield io.BytesIO(buildah_archive(self.images[image]))


STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+b1
Description: GNU C library
 Name: not a header

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1.0

Package: login
Status: install ok installed
Architecture: amd64
Source: shadow
Version: 1:4.13+dfsg1-1
"""
OS_RELEASE = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
#: A base image with a distribution, two Debian packages and two of Python; and what a project adds.
BASE: list[Files] = [
    {
        "usr/lib/os-release": OS_RELEASE,
        "etc/os-release->": b"../usr/lib/os-release",
        "var/lib/dpkg/status": STATUS,
    },
    {**python_package("pip", "23.0.1"), **python_package("urllib3", "1.26.0")},
]
ADDED: Files = {
    **python_package("urllib3", "2.8.0"),
    **python_package("lora-serving-sagemaker", "0.1.0"),
    "usr/lib/python3/dist-packages/.wh.urllib3-1.26.0.dist-info": b"",
}


def store() -> Store:
    """A store with `base:1` and `image:1`, which was built from it."""
    base = [layer(files) for files in BASE]
    return Store(images={"base:1": base, "image:1": [*base, layer(ADDED)], "other:1": [layer({"a": b""})]})
