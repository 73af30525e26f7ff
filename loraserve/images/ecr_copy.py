"""Copy of an image from one ECR repository to another, by its digest: both then have the same bytes.

It calls ECR's API, as AWS's own resolver for containerd does
(https://github.com/awslabs/amazon-ecr-containerd-resolver); docs/decisions/0006-hand-made-parts.md has the
reasons. Layers pass through memory in parts; nothing is written to disk.

A copy that was interrupted goes on with the first layer that the target does not have. The tag is set last,
so an image that has it is complete.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from urllib3.exceptions import HTTPError

from loraserve.errors import UserError
from loraserve.images.oci_registry import MANIFEST_TYPES, TIMEOUT, connections

#: Layers that are copied at the same time. Each holds a few copies of one part in memory.
_AT_ONCE: Final = 3
#: Limit of UploadLayerPart; InitiateLayerUpload names the size that ECR wants, 10 MiB so far.
_PART_LIMIT: Final = 20 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
#: Attempts to go on with a download that broke, each without a further byte.
_ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 0.5
#: Limit of BatchCheckLayerAvailability.
_DIGESTS_A_CALL: Final = 100

#: Called with the bytes copied so far and those of the whole image; layers that the target has, count.
OnBytes = Callable[[int, int], None]


class ImageError(UserError):
    """An image that cannot be copied; the message has the remedy."""


@dataclass(frozen=True)
class ImageRepository:
    """A repository of ECR, with the access to it."""

    ecr: Any
    """A boto3 client of ECR, in the repository's region."""
    account: str
    name: str

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation of ECR, e.g. `put_image`, on this repository and on no other account's."""
        return getattr(self.ecr, operation)(registryId=self.account, repositoryName=self.name, **arguments)

    def __str__(self) -> str:
        """Name for messages."""
        return f"{self.name} of account {self.account}"


class _Blob(NamedTuple):
    """A layer, or the configuration of an image."""

    digest: str
    size: int


class _Manifest(NamedTuple):
    digest: str
    media_type: str
    text: str
    content: dict[str, Any]

    @property
    def children(self) -> list[str]:
        """Digests of the images in an index; none in the manifest of an image."""
        return [entry["digest"] for entry in self.content.get("manifests", [])]

    @property
    def blobs(self) -> list[_Blob]:
        """Configuration and layers; none in an index."""
        config = [self.content["config"]] if "config" in self.content else []
        return [_Blob(entry["digest"], entry["size"]) for entry in (*config, *self.content.get("layers", []))]


def image_digest(repository: ImageRepository, tag: str) -> str | None:
    """Return the digest, `sha256:…`, that a tag has in a repository; None without the tag.

    Raises botocore's `ClientError`, with `RepositoryNotFoundException` for a missing repository.
    """
    found = _image(repository, {"imageTag": tag})
    return None if found is None else str(found["imageId"]["imageDigest"])


def copy_image(
    source: ImageRepository,
    target: ImageRepository,
    *,
    digest: str,
    tag: str,
    on_bytes: OnBytes | None = None,
) -> None:
    """Copy the image with this digest and give it the tag; does nothing if the target's tag has it.

    An index is copied with all of its images. Every manifest and layer is compared with its digest. Raises
    `ImageError` if the source does not have the image or sends other bytes, and if the target's tag has
    another digest: a tag is never moved.
    """
    held = image_digest(target, tag)
    if held == digest:
        return
    if held is not None:
        raise _taken(target, tag, held, digest)
    image = _manifest(source, digest)
    manifests = [*(_manifest(source, child) for child in image.children), image]
    blobs = {blob.digest: blob for manifest in manifests for blob in manifest.blobs}
    missing = _missing(target, blobs.values())
    total = sum(blob.size for blob in blobs.values())
    transfer = _Transfer(source, target, on_bytes, total, total - sum(blob.size for blob in missing))
    transfer.run(missing)
    # An index is accepted after its images, and an image after its layers.
    for manifest in manifests:
        _put(target, manifest, tag if manifest is image else None)
    if (found := image_digest(target, tag)) != digest:
        raise _taken(target, tag, str(found), digest)


class _Transfer:
    """The layers of one image on their way."""

    def __init__(
        self,
        source: ImageRepository,
        target: ImageRepository,
        on_bytes: OnBytes | None,
        total: int,
        done: int,
    ) -> None:
        self._source, self._target = source, target
        self._on_bytes = on_bytes
        self._total, self._done = total, done
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, blobs: Iterable[_Blob]) -> None:
        """Copy the layers, several at the same time; the first error ends all."""
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            self._count(0)
            for copied in [pool.submit(self._copy, blob) for blob in blobs]:
                copied.result()
        except BaseException:
            self._stopped.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _copy(self, blob: _Blob) -> None:
        upload = self._target.call("initiate_layer_upload")
        first = 0
        for part in _parts(_content(self._source, blob), min(upload["partSize"], _PART_LIMIT)):
            if self._stopped.is_set():
                return
            self._upload(upload["uploadId"], first, part)
            first += len(part)
            self._count(len(part))
        # Another copy may have been faster.
        with suppress(self._target.ecr.exceptions.LayerAlreadyExistsException):
            self._target.call(
                "complete_layer_upload", uploadId=upload["uploadId"], layerDigests=[blob.digest]
            )

    def _upload(self, upload_id: str, first: int, part: bytes) -> None:
        last = first + len(part) - 1
        try:
            self._target.call(
                "upload_layer_part",
                uploadId=upload_id,
                partFirstByte=first,
                partLastByte=last,
                layerPartBlob=part,
            )
        except self._target.ecr.exceptions.InvalidLayerPartException as error:
            # botocore repeats a request whose answer got lost, and ECR takes each part once.
            if error.response.get("lastValidByteReceived") != last:
                raise

    def _count(self, further: int) -> None:
        with self._lock:
            self._done += further
            if self._on_bytes is not None:
                self._on_bytes(self._done, self._total)


def _image(repository: ImageRepository, image_id: dict[str, str]) -> dict[str, Any] | None:
    found = repository.call("batch_get_image", imageIds=[image_id], acceptedMediaTypes=list(MANIFEST_TYPES))
    if found["images"]:
        image: dict[str, Any] = found["images"][0]
        return image
    for failure in found["failures"]:
        if failure["failureCode"] != "ImageNotFound":
            raise ImageError(
                f"{repository} cannot give {', '.join(image_id.values())}: {failure['failureReason']} "
                f"({failure['failureCode']}); check the image in ECR's console"
            )
    return None


def _manifest(source: ImageRepository, digest: str) -> _Manifest:
    found = _image(source, {"imageDigest": digest})
    if found is None:
        raise ImageError(
            f"{source} has no image {digest} any more: deploy a release whose image is there, or push that "
            "image there again"
        )
    text = found["imageManifest"]
    if _sha256(text.encode()) != digest:
        raise ImageError(
            f"{source} sends a manifest of other bytes than its digest {digest}: do not use it, and build a "
            "new release"
        )
    content = json.loads(text)
    media_type = found.get("imageManifestMediaType") or content.get("mediaType")
    return _Manifest(digest, media_type, text, content)


def _missing(target: ImageRepository, blobs: Iterable[_Blob]) -> list[_Blob]:
    """Return the blobs that the target does not have."""
    wanted = list(blobs)
    held: set[str] = set()
    for first in range(0, len(wanted), _DIGESTS_A_CALL):
        digests = [blob.digest for blob in wanted[first : first + _DIGESTS_A_CALL]]
        found = target.call("batch_check_layer_availability", layerDigests=digests)
        held |= {
            layer["layerDigest"] for layer in found["layers"] if layer["layerAvailability"] == "AVAILABLE"
        }
    return [blob for blob in wanted if blob.digest not in held]


def _put(target: ImageRepository, manifest: _Manifest, tag: str | None) -> None:
    try:
        target.call(
            "put_image",
            imageManifest=manifest.text,
            imageManifestMediaType=manifest.media_type,
            imageDigest=manifest.digest,
            **({} if tag is None else {"imageTag": tag}),
        )
    except target.ecr.exceptions.ImageAlreadyExistsException:
        pass  # with this digest and this tag
    except target.ecr.exceptions.ImageTagAlreadyExistsException as error:
        raise _taken(target, str(tag), str(image_digest(target, str(tag))), manifest.digest) from error


def _parts(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the chunks as parts of this size; the last one is smaller."""
    part = bytearray()
    for chunk in chunks:
        part += chunk
        while len(part) >= size:
            yield bytes(part[:size])
            del part[:size]
    if part:
        yield bytes(part)


def _content(source: ImageRepository, blob: _Blob) -> Iterator[bytes]:
    """Yield the bytes of a blob, and compare them with its digest; goes on where the connection broke."""
    seen, failures, checksum = 0, 0, hashlib.sha256()
    while seen < blob.size:
        before, reason = seen, ""
        try:
            for chunk in _download(source, blob, seen):
                seen += len(chunk)
                checksum.update(chunk)
                yield chunk
        except HTTPError as error:
            reason = str(error)
        if seen < blob.size:
            failures = 1 if seen > before else failures + 1
            if failures == _ATTEMPTS:
                raise ImageError(
                    f"layer {blob.digest} of {source} breaks off at byte {seen} of {blob.size} "
                    f"({reason or 'end of the answer'}): check the network and run the command again, it "
                    "goes on with this layer"
                )
            time.sleep(_FIRST_PAUSE_S * 2 ** (failures - 1))
    if seen > blob.size or f"sha256:{checksum.hexdigest()}" != blob.digest:
        raise ImageError(
            f"{source} sends other bytes than those of layer {blob.digest}: do not use its image, and build "
            "a new release"
        )


def _download(source: ImageRepository, blob: _Blob, first: int) -> Iterator[bytes]:
    """Yield the blob's bytes from `first` on. ECR's URL is of S3, signed, and valid for an hour.

    Raises `HTTPError`, also for an answer without the bytes that were asked for.
    """
    url = source.call("get_download_url_for_layer", layerDigest=blob.digest)["downloadUrl"]
    headers = {"Range": f"bytes={first}-"} if first else {}
    with connections(url) as pool:
        response = pool.request(
            "GET", url, headers=headers, timeout=TIMEOUT, retries=False, preload_content=False
        )
        expected = HTTPStatus.PARTIAL_CONTENT if first else HTTPStatus.OK
        if response.status != expected:
            raise HTTPError(f"status {response.status}")
        yield from response.stream(_CHUNK, decode_content=False)


def _taken(target: ImageRepository, tag: str, held: str, digest: str) -> ImageError:
    return ImageError(
        f"{target} has the tag {tag} with {held}, not with the {digest} that was tested; tags are never "
        "moved. If nothing runs from it, delete the image of the tag there and run the command again"
    )


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
