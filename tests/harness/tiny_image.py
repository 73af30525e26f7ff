"""An image of a few hundred bytes that stands for a process of this machine, in Docker's format; and its push.

The same name of an asset gives the same bytes on every machine, so the digest of an image is known beforehand.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from laptop_cloud.registry.model_image import PROCESS_LABEL

_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_direct = build_opener(ProxyHandler({}))


class TinyImage(NamedTuple):
    """Manifest, configuration and the one layer of an image."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """The image's digest: that of its manifest."""
        return _digest(self.manifest)


def tiny_image(process: str, name: str) -> TinyImage:
    """Return the image of a process, e.g. `localhost/null`; images of two names differ."""
    content, archive = name.encode(), io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("name")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(archive.getvalue(), mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {PROCESS_LABEL: process}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(archive.getvalue())]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _DOCKER,
            "config": _described(_CONFIG, config),
            "layers": [_described(_LAYER, layer)],
        }
    )
    return TinyImage(manifest, config, layer)


def push(image: TinyImage, registry: str, repository: str, tag: str, token: str) -> None:
    """Push an image to a registry of this machine (`127.0.0.1:port`) as Docker's clients do.

    `token` is the password of ECR's token, base64 with its user.
    """

    def request(method: str, path: str, body: bytes | None = None, kind: str = "") -> str:
        url = path if path.startswith("http") else f"http://{registry}/v2/{repository}/{path}"
        asked = Request(url, body, {"Authorization": f"Basic {token}"}, method=method)  # noqa: S310 — http
        if kind:
            asked.add_header("Content-Type", kind)
        with _direct.open(asked, timeout=30) as answer:
            return str(answer.headers.get("Location", ""))

    for blob in (image.config, image.layer):
        try:
            request("HEAD", f"blobs/{_digest(blob)}")
        except HTTPError as missing:
            if missing.code != 404:
                raise
            location = request("POST", "blobs/uploads/", b"")
            location = location if location.startswith("http") else f"http://{registry}{location}"
            request("PATCH", location, blob)
            request("PUT", f"{location}?digest={_digest(blob)}", b"")
    request("PUT", f"manifests/{tag}", image.manifest, _DOCKER)


def _described(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
