"""The copy of an image between ECR repositories of two accounts, with the faults of networks and registries."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from laptop_cloud.cloud import LaptopCloud
from loraserve.finding import State
from loraserve.images.ecr_copy import ImageError, ImageRepository, copy_image, image_digest
from loraserve.images.promoted_image import check_image
from tests.local.cloud.test_cloud_registry import DOCKER, Registry, digest_of

GIVING, TAKING = "111111111111", "222222222222"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
#: More than one part of an upload, which has 10 MiB.
LARGE = random.Random(1).randbytes(12 * 1024 * 1024)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("copy")) as running:
        yield running


def config_of(tag: str) -> bytes:
    return json.dumps({"architecture": "amd64", "os": "linux", "of": tag}).encode()


class Repositories:
    """A repository in each of two accounts; tags of the target are immutable, as the bootstrap makes it."""

    def __init__(self, cloud: LaptopCloud, name: str) -> None:
        self._cloud, self._name = cloud, name
        self.source, self.target = self._made(GIVING, "MUTABLE"), self._made(TAKING, "IMMUTABLE")

    def _made(self, account: str, tags: str) -> ImageRepository:
        ecr = self._cloud.client("ecr", account=account)
        ecr.create_repository(repositoryName=self._name, imageTagMutability=tags)
        return ImageRepository(ecr, account, self._name)

    def registry(self, repository: ImageRepository) -> Registry:
        return Registry(self._cloud, repository.ecr)

    def push(self, tag: str, *layers: bytes, to: ImageRepository | None = None) -> str:
        """Push an image as Docker does; return its digest."""
        registry = self.registry(to or self.source)
        config = config_of(tag)
        for blob in (config, *layers):
            begun = registry.request("POST", f"/v2/{self._name}/blobs/uploads/", b"")
            registry.request("PUT", f"{begun.headers['Location']}?digest={digest_of(blob)}", blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER,
            "config": {"digest": digest_of(config), "size": len(config)},
            "layers": [{"digest": digest_of(layer), "size": len(layer)} for layer in layers],
        }
        return self.put_manifest(registry, tag, manifest)

    def put_manifest(self, registry: Registry, reference: str, manifest: dict[str, Any]) -> str:
        # Indented: what is copied has the same bytes, not only the same content.
        content = json.dumps(manifest, indent=3).encode()
        path = f"/v2/{self._name}/manifests/{reference}"
        registry.request("PUT", path, content, manifest["mediaType"])
        return digest_of(content)

    def blob(self, repository: ImageRepository, content: bytes) -> bytes:
        path = f"/v2/{self._name}/blobs/{digest_of(content)}"
        found: bytes = self.registry(repository).request("GET", path).read()
        return found

    def layers_of_target(self, *layers: bytes) -> set[str]:
        digests = [digest_of(layer) for layer in layers]
        found = self.target.call("batch_check_layer_availability", layerDigests=digests)
        return {layer["layerDigest"] for layer in found["layers"]}


@pytest.fixture
def repositories(cloud: LaptopCloud, request: pytest.FixtureRequest) -> Repositories:
    return Repositories(cloud, f"copy/{digest_of(request.node.name.encode())[7:19]}")


class Storage:
    """Layers of the source as S3 gives them, with faults."""

    def __init__(self, *layers: bytes) -> None:
        self.layers = {digest_of(layer): layer for layer in layers}
        self.breaks = 0
        """Number of answers that break off in their middle."""
        self.requests: list[str | None] = []
        """Header Range of each request."""

    def __enter__(self) -> Storage:
        storage = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requested = self.headers.get("Range")
                storage.requests.append(requested)
                first = int(requested.removeprefix("bytes=").rstrip("-")) if requested else 0
                content = storage.layers[self.path.lstrip("/")][first:]
                self.send_response(206 if requested else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if storage.breaks:
                    storage.breaks -= 1
                    content = content[: len(content) // 2]
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def give(self, repository: ImageRepository) -> None:
        """Let ECR's download URLs name this storage."""

        def elsewhere(parsed: dict[str, Any], **_: Any) -> None:
            parsed["downloadUrl"] = f"http://127.0.0.1:{self._server.server_port}/{parsed['layerDigest']}"

        repository.ecr.meta.events.register("after-call.ecr.GetDownloadUrlForLayer", elsewhere)


def test_the_copy_has_the_same_bytes_and_the_tag(repositories: Repositories) -> None:
    digest = repositories.push("v1", b"lower", LARGE)
    counted: list[tuple[int, int]] = []
    source, target = repositories.source, repositories.target
    copy_image(source, target, digest=digest, tag="v1", on_bytes=lambda *at: counted.append(at))
    assert image_digest(target, "v1") == digest
    assert repositories.blob(target, LARGE) == LARGE
    pulled = repositories.registry(target).request("GET", f"/v2/{target.name}/manifests/{digest}").read()
    assert digest_of(pulled) == digest
    total = counted[-1][1]
    assert counted[0] == (0, total)
    assert counted[-1] == (total, total)
    assert counted == sorted(counted)


def test_an_index_comes_with_its_images(repositories: Repositories) -> None:
    images = [repositories.push(name, b"shared", name.encode()) for name in ("one", "two")]
    entries = [{"mediaType": DOCKER, "digest": digest, "size": 1} for digest in images]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    registry = repositories.registry(repositories.source)
    digest = repositories.put_manifest(registry, "all", index)
    copy_image(repositories.source, repositories.target, digest=digest, tag="all")
    assert image_digest(repositories.target, "all") == digest
    found = repositories.target.call("batch_get_image", imageIds=[{"imageDigest": image} for image in images])
    assert {image["imageId"]["imageDigest"] for image in found["images"]} == set(images)


def test_layers_that_the_target_has_are_not_sent_again(repositories: Repositories) -> None:
    repositories.push("earlier", b"shared", to=repositories.target)
    digest = repositories.push("v1", b"shared", b"new")
    with Storage(b"new", config_of("v1")) as storage:
        storage.give(repositories.source)
        copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
        assert len(storage.requests) == 2
        copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
        assert len(storage.requests) == 2


def test_a_download_that_breaks_goes_on_where_it_broke(repositories: Repositories) -> None:
    digest = repositories.push("v1", LARGE)
    with Storage(LARGE, config_of("v1")) as storage:
        storage.give(repositories.source)
        storage.breaks = 3
        copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
        assert [header for header in storage.requests if header]
    assert repositories.blob(repositories.target, LARGE) == LARGE


def test_a_download_that_breaks_for_ever_ends_the_copy_without_a_tag(
    repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loraserve.images.ecr_copy._FIRST_PAUSE_S", 0.001)
    digest = repositories.push("v1", LARGE)
    with Storage(LARGE, config_of("v1")) as storage:
        storage.give(repositories.source)
        storage.layers = dict.fromkeys(storage.layers, b"")
        with pytest.raises(ImageError, match="breaks off at byte 0 of"):
            copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
    assert image_digest(repositories.target, "v1") is None


def test_other_bytes_than_the_digest_are_refused(repositories: Repositories) -> None:
    layer = bytearray(LARGE)
    layer[-1] ^= 1
    digest = repositories.push("v1", LARGE)
    with Storage(LARGE, config_of("v1")) as storage:
        storage.layers[digest_of(LARGE)] = bytes(layer)
        storage.give(repositories.source)
        with pytest.raises(ImageError, match="sends other bytes than those of layer"):
            copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
    assert image_digest(repositories.target, "v1") is None
    assert digest_of(LARGE) not in repositories.layers_of_target(LARGE)


def test_a_manifest_of_other_bytes_is_refused(repositories: Repositories) -> None:
    digest = repositories.push("v1", b"layer")

    def changed(parsed: dict[str, Any], **_: Any) -> None:
        for image in parsed.get("images", []):
            image["imageManifest"] += " "

    repositories.source.ecr.meta.events.register("after-call.ecr.BatchGetImage", changed)
    with pytest.raises(ImageError, match="manifest of other bytes than its digest"):
        copy_image(repositories.source, repositories.target, digest=digest, tag="v1")


def test_an_upload_whose_answer_got_lost_is_repeated(repositories: Repositories) -> None:
    digest = repositories.push("v1", LARGE)
    sent: list[int] = []

    def twice(request: Any, **_: Any) -> None:
        with urllib3.PoolManager() as pool:
            answer = pool.request(request.method, request.url, body=request.body, headers=request.headers)
        sent.append(answer.status)

    repositories.target.ecr.meta.events.register("before-send.ecr.UploadLayerPart", twice)
    copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
    assert sent == [200] * len(sent)
    assert repositories.blob(repositories.target, LARGE) == LARGE


def test_a_tag_is_never_moved(repositories: Repositories) -> None:
    digest = repositories.push("v1", b"tested")
    other = repositories.push("v1", b"other", to=repositories.target)
    with pytest.raises(ImageError, match=f"has the tag v1 with {other}, not with the {digest}"):
        copy_image(repositories.source, repositories.target, digest=digest, tag="v1")
    assert image_digest(repositories.target, "v1") == other
    assert not repositories.layers_of_target(b"tested")


def test_an_image_that_is_gone_is_named(repositories: Repositories) -> None:
    gone = digest_of(b"gone")
    with pytest.raises(ImageError, match=f"of account {GIVING} has no image {gone} any more"):
        copy_image(repositories.source, repositories.target, digest=gone, tag="v1")


def test_the_check_finds_what_the_copy_would_refuse(repositories: Repositories) -> None:
    source, target = repositories.source, repositories.target
    digest = repositories.push("v1", b"tested")

    def found(tag: str = "v1", recorded: str | None = digest) -> list[tuple[State, str]]:
        findings = check_image(source, target, tag=tag, recorded=recorded)
        return [(finding.state, finding.found) for finding in findings]

    assert found() == [(State.OK, f"{digest} is copied to {target}")]
    assert [state for state, _ in found(recorded=None)] == [State.WARNING, State.OK]
    [(state, text)] = found(recorded=digest_of(b"other"))
    assert (state, "was tested" in text) == (State.PROBLEM, True)
    [(state, text)] = found(tag="v2")
    assert (state, "has no image with the tag v2 any more" in text) == (State.PROBLEM, True)
    copy_image(source, target, digest=digest, tag="v1")
    assert found() == [(State.OK, f"{digest} is in {target}")]
    repositories.push("v3", b"tested")
    repositories.push("v3", b"by hand", to=target)
    [(state, text)] = found(tag="v3", recorded=None)[1:]
    assert (state, "tags are never moved" in text) == (State.PROBLEM, True)


def test_a_missing_repository_is_a_finding_with_its_remedy(repositories: Repositories) -> None:
    repositories.push("v1", b"tested")
    absent = ImageRepository(repositories.target.ecr, TAKING, "copy/absent")
    *_, finding = check_image(repositories.source, absent, tag="v1", recorded=None)
    assert finding.state is State.PROBLEM
    assert "make bootstrap" in finding.remedy
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        image_digest(absent, "v1")
