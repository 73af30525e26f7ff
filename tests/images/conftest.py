"""The images, each built once from its stand-in."""

import fcntl
import os
from collections.abc import Callable, Iterator

import pytest

from loraserve.images import tools
from loraserve.images.build import Base, build_image
from loraserve.images.builders import Buildah
from tests.images.container import TAG, BuiltImage, mounted


def pytest_configure() -> None:
    """Stop with a sentence where images cannot be built and run."""
    refused = tools.refusal()
    if refused is not None:
        pytest.exit(f"tests/images: {refused}", returncode=2)


@pytest.fixture(scope="session")
def buildah() -> Buildah:
    return Buildah("buildah")


@pytest.fixture(scope="session")
def built(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A function that builds an engine's image and returns its reference; once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared

    def build(engine: str) -> str:
        image = f"localhost/lora-serving-tests/{engine}:{TAG}"
        done = shared / f"{engine}.built"
        with (shared / "images.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                build_image(engine, base=Base.STAND_IN, builder=buildah, image=image)
                done.touch()
        return image

    return build


@pytest.fixture(scope="module")
def image(engine: str, request: pytest.FixtureRequest) -> BuiltImage:
    """The image of the test's engine, a parameter of scope `module`."""
    found: BuiltImage = request.getfixturevalue(f"{engine}_image")
    return found


@pytest.fixture(scope="session")
def vllm_image(built: Callable[[str], str]) -> Iterator[BuiltImage]:
    with mounted("vllm", built("vllm")) as image:
        yield image


@pytest.fixture(scope="session")
def lorax_image(built: Callable[[str], str]) -> Iterator[BuiltImage]:
    with mounted("lorax", built("lorax")) as image:
        yield image
