"""The warning of `make images` while the lock has no digest."""

import pytest

from loraserve.images import build
from loraserve.images.build import Base, base_arguments, unpinned
from loraserve.images.builders import Buildah
from stacks.config.base_images import BaseImage

REPOSITORY = "docker.io/vllm/vllm-openai"
DIGEST = f"sha256:{'a' * 64}"


def lock(monkeypatch: pytest.MonkeyPatch, digest: str | None) -> None:
    locked = BaseImage(repository=REPOSITORY, tag="v1", digest=digest)
    monkeypatch.setattr(build, "read_lock", lambda: {"vllm": locked})


def test_a_base_without_a_digest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lock(monkeypatch, None)
    assert unpinned(["vllm"], base=Base.LOCK) == [f"{REPOSITORY}:v1"]
    assert unpinned(["vllm"], base=Base.STAND_IN) == []
    lock(monkeypatch, DIGEST)
    assert unpinned(["vllm"], base=Base.LOCK) == []


@pytest.mark.parametrize("digest", [None, DIGEST])
def test_the_dockerfile_gets_the_digest_of_the_lock(
    monkeypatch: pytest.MonkeyPatch, digest: str | None
) -> None:
    lock(monkeypatch, digest)
    asked: list[str] = []
    monkeypatch.setattr(Buildah, "has", lambda _self, image: not asked.append(image))
    arguments = base_arguments("vllm", base=Base.LOCK, builder=Buildah("buildah"))
    expected = f"{REPOSITORY}:v1" if digest is None else f"{REPOSITORY}:v1@{digest}"
    assert arguments == {"VLLM_IMAGE": expected}
    assert asked == [expected]
