"""Layers and manifests through ECR's API, with the errors that botocore's model of ECR names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from laptop_cloud.cloud import LaptopCloud
from tests.local.cloud.test_cloud_registry import DOCKER, LAYER, digest_of

NAME = "lora/layers"
MANIFEST = json.dumps({"schemaVersion": 2, "layers": [{"digest": digest_of(LAYER), "size": len(LAYER)}]})
#: The smallest part that may have another one after it.
PART = b"x" * (5 * 1024 * 1024)


class Repository:
    """A repository, used by ECR's API."""

    def __init__(self, ecr: Any) -> None:
        self.ecr = ecr

    def call(self, operation: str, **arguments: Any) -> Any:
        return getattr(self.ecr, operation)(repositoryName=NAME, **arguments)

    def error(self, operation: str, **arguments: Any) -> str:
        with pytest.raises(ClientError) as refused:
            self.call(operation, **arguments)
        code: str = refused.value.response["Error"]["Code"]
        return code

    def upload(self, *parts: bytes) -> str:
        upload_id: str = self.call("initiate_layer_upload")["uploadId"]
        first = 0
        for part in parts:
            self.call("upload_layer_part", **part_of(upload_id, first, part))
            first += len(part)
        return upload_id

    def completed(self, digest: str, *parts: bytes) -> str:
        return self.error("complete_layer_upload", uploadId=self.upload(*parts), layerDigests=[digest])


def part_of(upload_id: str, first: int, part: bytes) -> dict[str, Any]:
    last = first + len(part) - 1
    return {"uploadId": upload_id, "partFirstByte": first, "partLastByte": last, "layerPartBlob": part}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with LaptopCloud(tmp_path_factory.mktemp("layers")) as cloud:
        ecr = cloud.client("ecr")
        ecr.create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
        yield Repository(ecr)


def test_an_upload_is_checked_part_by_part_and_by_its_digest(repository: Repository) -> None:
    upload_id = repository.upload(b"begin")
    gap = part_of(upload_id, 6, b"later")
    assert repository.error("upload_layer_part", **gap) == "InvalidLayerPartException"
    with pytest.raises(ClientError) as refused:
        repository.call("upload_layer_part", **part_of(upload_id, 0, b"begin"))
    assert refused.value.response["lastValidByteReceived"] == 4
    unknown = part_of("0" * 8 + "-0000-0000-0000-" + "0" * 12, 0, b"x")
    assert repository.error("upload_layer_part", **unknown) == "UploadNotFoundException"
    assert repository.completed(digest_of(b"other"), LAYER) == "InvalidLayerException"
    assert repository.completed(digest_of(b"")) == "EmptyUploadException"
    assert repository.completed(digest_of(b"ab"), b"a", b"b") == "LayerPartTooSmallException"
    whole = digest_of(PART + b"end")
    repository.call("complete_layer_upload", uploadId=repository.upload(PART, b"end"), layerDigests=[whole])
    assert repository.completed(whole, PART, b"end") == "LayerAlreadyExistsException"


def test_an_image_is_put_after_its_layers_and_its_tag_stays(repository: Repository) -> None:
    image = {"imageManifest": MANIFEST, "imageManifestMediaType": DOCKER, "imageTag": "v1"}
    assert repository.error("put_image", **image) == "LayersNotFoundException"
    missing = repository.call("batch_check_layer_availability", layerDigests=[digest_of(LAYER)])
    assert [failure["failureCode"] for failure in missing["failures"]] == ["MissingLayerDigest"]
    assert (
        repository.error("get_download_url_for_layer", layerDigest=digest_of(LAYER))
        == "LayersNotFoundException"
    )
    upload_id = repository.upload(LAYER)
    repository.call("complete_layer_upload", uploadId=upload_id, layerDigests=[digest_of(LAYER)])
    wrong = {**image, "imageDigest": digest_of(b"other")}
    assert repository.error("put_image", **wrong) == "ImageDigestDoesNotMatchException"
    repository.call("put_image", **image)
    assert repository.error("put_image", **image) == "ImageAlreadyExistsException"
    moved = {**image, "imageManifest": f"{MANIFEST} "}
    assert repository.error("put_image", **moved) == "ImageTagAlreadyExistsException"
    index = json.dumps({"schemaVersion": 2, "manifests": [{"digest": digest_of(b"absent")}]})
    other = {"imageManifest": index, "imageManifestMediaType": DOCKER, "imageTag": "v2"}
    assert repository.error("put_image", **other) == "ReferencedImagesNotFoundException"
    url = repository.call("get_download_url_for_layer", layerDigest=digest_of(LAYER))["downloadUrl"]
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", url).data == LAYER
        assert pool.request("GET", url, headers={"Range": "bytes=2-"}).data == LAYER[2:]
        assert pool.request("GET", f"{url}x").status == 403
