"""The lock's digest from end to end: what FROM gets after the tag was moved to another image in the registry."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from laptop_cloud.cloud import LaptopCloud
from loraserve.images import build
from loraserve.images.build import Base, build_image
from loraserve.images.builders import Buildah
from stacks.config.base_images import BaseImage
from tests.images.container import TAG

DOCKERFILE = "ARG VLLM_IMAGE\nFROM ${VLLM_IMAGE}\nCOPY added /added\n"


class Registry:
    """A registry on loopback with one repository, and images that are pushed to it."""

    def __init__(self, host: str, buildah: Buildah, folder: Path) -> None:
        self.repository = f"{host}/bases"
        self._buildah, self._folder = buildah, folder

    def push(self, tag: str, content: str) -> tuple[str, tuple[str, ...]]:
        """Push an image with one file; returns its digest and its layers. It does not stay in the store."""
        (self._folder / "Dockerfile").write_text("FROM scratch\nCOPY content /content\n")
        (self._folder / "content").write_text(content)
        image, digest = f"localhost/lora-serving-tests/{content}:{TAG}", self._folder / "digest"
        self._buildah.build(dockerfile=self._folder / "Dockerfile", context=self._folder, tag=image)
        layers = self._buildah.diff_ids(image)
        command = ["buildah", "push", "--quiet", "--format", "v2s2", "--digestfile", str(digest)]
        subprocess.run([*command, image, f"{self.repository}:{tag}"], check=True, capture_output=True)
        self._buildah.remove(image)
        return digest.read_text().strip(), layers


@pytest.fixture
def registry(tmp_path: Path, buildah: Buildah, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with LaptopCloud(tmp_path / "cloud") as cloud:
        ecr = cloud.client("ecr")
        ecr.create_repository(repositoryName="bases")
        host = urlsplit(ecr.meta.endpoint_url).netloc
        (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        [token] = ecr.get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
        buildah.login(host, user, password, tls=False)
        folder = tmp_path / "pushed"
        folder.mkdir()
        yield Registry(host, buildah, folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a Dockerfile that adds one file to its base."""
    dockerfile = tmp_path / "root" / "container" / "vllm" / "Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text(DOCKERFILE)
    (tmp_path / "root" / "added").write_text("added")
    return tmp_path / "root"


def test_the_build_gets_the_image_of_the_digest_whatever_the_tag_points_to(
    registry: Registry, root: Path, buildah: Buildah, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, locked_layers = registry.push("1", "locked")
    _, moved_layers = registry.push("1", "moved")
    assert locked_layers != moved_layers

    for locked, expected in ((digest, locked_layers), (None, moved_layers)):
        base = BaseImage(repository=registry.repository, tag="1", digest=locked)
        monkeypatch.setattr(build, "read_lock", lambda base=base: {"vllm": base})
        image = build_image(
            "vllm",
            base=Base.LOCK,
            builder=buildah,
            root=root,
            image=f"localhost/lora-serving-tests/built:{TAG}",
        )
        try:
            assert buildah.diff_ids(image)[: len(expected)] == expected
        finally:
            buildah.remove(image)
            buildah.remove(base.reference)


def test_a_digest_that_the_registry_does_not_have_stops_the_build(
    registry: Registry, root: Path, buildah: Buildah, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push("1", "moved")
    base = BaseImage(repository=registry.repository, tag="1", digest=f"sha256:{'0' * 64}")
    monkeypatch.setattr(build, "read_lock", lambda: {"vllm": base})
    with pytest.raises(build.BaseNotPulled, match=f"{registry.repository}:1@sha256:000.* cannot be pulled"):
        build_image("vllm", base=Base.LOCK, builder=buildah, root=root)
