"""Layers and manifests through ECR's own API: `ministack` answers those requests and keeps nothing of them.

Errors and limits are those of botocore's model of ECR: parts follow each other without a gap, all but the
last have 5 MiB or more, the digest is checked at the end, and an image is accepted after its layers.
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params, ServiceError
from laptop_cloud.ministack import ecr

#: Prefix of the paths of downloads; in AWS they are signed URLs of S3, which need no other credentials.
DOWNLOADS: Final = "/ecr-layers/"
#: Bytes of a request with a part of 20 MiB, in base64.
BODY_LIMIT: Final = 32 * 1024 * 1024
_DOWNLOAD_S: Final = 3600
_PART_SIZE: Final = 10 * 1024 * 1024
_SMALLEST_PART: Final = 5 * 1024 * 1024
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


class _Upload(NamedTuple):
    account: Account
    repository: str
    content: bytearray
    parts: list[int]
    """Size of each part."""


class _Download(NamedTuple):
    account: Account
    repository: str
    digest: str
    expiry: float


class Layers:
    """Uploads in progress, and the download URLs that were given out."""

    def __init__(self) -> None:
        """Begin without any."""
        self._uploads: dict[str, _Upload] = {}
        self._downloads: dict[str, _Download] = {}
        self.operations: dict[str, Callable[[Account, str, Params], Params]] = {
            "BatchCheckLayerAvailability": self._check,
            "InitiateLayerUpload": self._initiate,
            "UploadLayerPart": self._upload,
            "CompleteLayerUpload": self._complete,
            "GetDownloadUrlForLayer": self._url,
            "PutImage": self._put_image,
        }
        """By name: account, host and request → the members that replace those of `ministack`'s response."""

    def download(self, path: str, requested: str | None) -> tuple[int, bytes] | None:
        """Return status and content of a download; `requested` is the header Range. None if it is over."""
        found = self._downloads.get(path.removeprefix(DOWNLOADS))
        if found is None or found.expiry < time.monotonic():
            return None
        content = ecr.blob(found.account, found.repository, found.digest)
        if content is None:
            return None
        match = _RANGE.fullmatch(requested or "")
        if match is None:
            return 200, content
        return 206, content[int(match[1]) : int(match[2]) + 1 if match[2] else None]

    def _check(self, account: Account, _host: str, request: Params) -> Params:
        layers, failures = [], []
        for digest in request["layerDigests"]:
            content = ecr.blob(account, request["repositoryName"], digest)
            if content is None:
                code, reason = "MissingLayerDigest", "the layer is not in the repository"
                failures.append({"layerDigest": digest, "failureCode": code, "failureReason": reason})
            else:
                held = {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": len(content)}
                layers.append(held)
        return {"layers": layers, "failures": failures}

    def _initiate(self, account: Account, _host: str, request: Params) -> Params:
        upload_id = str(uuid.uuid4())
        self._uploads[upload_id] = _Upload(account, request["repositoryName"], bytearray(), [])
        return {"uploadId": upload_id, "partSize": _PART_SIZE}

    def _upload(self, account: Account, _host: str, request: Params) -> Params:
        upload = self._found(account, request)
        part = base64.b64decode(request["layerPartBlob"])
        first, last = request["partFirstByte"], request["partLastByte"]
        held = len(upload.content)
        if first != held or last != first + len(part) - 1:
            raise ServiceError(
                "InvalidLayerPartException",
                f"the part {first}-{last} of {len(part)} bytes does not follow {held} bytes",
                lastValidByteReceived=held - 1,
            )
        upload.content.extend(part)
        upload.parts.append(len(part))
        return {"lastByteReceived": last}

    def _complete(self, account: Account, _host: str, request: Params) -> Params:
        upload = self._found(account, request)
        [digest] = request["layerDigests"]
        content = bytes(upload.content)
        if not content:
            raise ServiceError("EmptyUploadException", "the upload has no parts")
        if min(upload.parts[:-1], default=_SMALLEST_PART) < _SMALLEST_PART:
            raise ServiceError("LayerPartTooSmallException", "parts must have 5 MiB or more")
        if _digest(content) != digest:
            raise ServiceError("InvalidLayerException", f"the layer is {_digest(content)}, not {digest}")
        del self._uploads[request["uploadId"]]
        if ecr.blob(account, upload.repository, digest) is not None:
            raise ServiceError("LayerAlreadyExistsException", f"the layer {digest} is in the repository")
        ecr.put_blob(account, upload.repository, digest, content)
        return {"layerDigest": digest}

    def _found(self, account: Account, request: Params) -> _Upload:
        upload = self._uploads.get(request["uploadId"])
        if upload is None or (upload.account, upload.repository) != (account, request["repositoryName"]):
            raise ServiceError("UploadNotFoundException", f"there is no upload {request['uploadId']}")
        return upload

    def _url(self, account: Account, host: str, request: Params) -> Params:
        name, digest = request["repositoryName"], request["layerDigest"]
        if ecr.blob(account, name, digest) is None:
            raise ServiceError("LayersNotFoundException", f"{name} has no layer {digest}")
        key = secrets.token_urlsafe(32)
        self._downloads[key] = _Download(account, name, digest, time.monotonic() + _DOWNLOAD_S)
        return {"downloadUrl": f"http://{host}{DOWNLOADS}{key}", "layerDigest": digest}

    def _put_image(self, account: Account, _host: str, request: Params) -> Params:
        content = request["imageManifest"].encode()
        ecr.put_manifest(account, request["repositoryName"], _digest(content), content)
        return {}


def check_put_image(account: Account, request: Params) -> None:
    """Raise `ServiceError` for an image that ECR refuses and `ministack` would take."""
    name, tag, text = request["repositoryName"], request.get("imageTag"), request["imageManifest"]
    digest = _digest(text.encode())
    if request.get("imageDigest") not in {None, digest}:
        raise ServiceError("ImageDigestDoesNotMatchException", f"the manifest's digest is {digest}")
    held = ecr.find_image(account, name, digest if tag is None else tag)
    if held is not None and held.digest == digest:
        raise ServiceError("ImageAlreadyExistsException", f"{name} has the image {digest} with this tag")
    for missing in _missing(account, name, json.loads(text)):
        raise missing


def _missing(account: Account, name: str, manifest: Params) -> Iterator[ServiceError]:
    """Yield an error for each layer and image that a manifest names and the repository does not have."""
    config = [manifest["config"]] if "config" in manifest else []
    for entry in (*config, *manifest.get("layers", [])):
        if ecr.blob(account, name, entry["digest"]) is None:
            yield ServiceError("LayersNotFoundException", f"{name} has no layer {entry['digest']}")
    for entry in manifest.get("manifests", []):
        if ecr.find_image(account, name, entry["digest"]) is None:
            yield ServiceError("ReferencedImagesNotFoundException", f"{name} has no image {entry['digest']}")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
