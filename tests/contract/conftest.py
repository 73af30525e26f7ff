"""A laptop cloud for the engines' adapters, and LoRAX doubles that read from it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from laptop_cloud.cloud import LaptopCloud
from tests.contract.lorax_process import LoraxProcess, lorax_environment
from tests.contract.recorded_gateway import RecordedGateway, recorded_gateway
from tests.harness.bucket import Bucket


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("contract-cloud")) as running:
        yield running


@pytest.fixture
def bucket(cloud: LaptopCloud) -> Bucket:
    return Bucket(cloud.client("s3"))


@pytest.fixture
def start_lorax(cloud: LaptopCloud, bucket: Bucket, tmp_path: Path) -> Iterator[Callable[..., LoraxProcess]]:
    """Start a double on `bucket`, with more variables. All of a test share one folder for their files."""
    environment = lorax_environment(cloud, bucket)
    with contextlib.ExitStack() as stack:
        yield lambda **more: stack.enter_context(LoraxProcess(environment | more, tmp_path))


@pytest.fixture
def lorax(start_lorax: Callable[..., LoraxProcess]) -> LoraxProcess:
    """A double with the default options."""
    return start_lorax()


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedGateway]:
    """A gateway whose engine records the requests that reach it."""
    with recorded_gateway(tmp_path_factory.mktemp("cache")) as running:
        yield running
