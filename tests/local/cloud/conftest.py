"""One laptop cloud for the tests of this folder, with an image that runs `echo_container.py`."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from laptop_cloud.cloud import Cloud, LaptopCloud

ROLE = "arn:aws:iam::000000000000:role/execution"
IMAGES = {"localhost/echo": [sys.executable, str(Path(__file__).with_name("echo_container.py"))]}


class SageMaker:
    """Short forms of the tests' SageMaker calls."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.api = cloud.client("sagemaker")
        self.runtime = cloud.client("sagemaker-runtime")
        self._numbers = itertools.count()

    def model(self, image: str = "localhost/echo:test", **container: Any) -> str:
        name = f"m{next(self._numbers)}"
        self.api.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image, **container}
        )
        return name

    def config(self, model: str, **variant: Any) -> str:
        name = f"c{next(self._numbers)}"
        production = {
            "VariantName": "Main",
            "ModelName": model,
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
            **variant,
        }
        self.api.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[production])
        return name

    def begin(self, config: str) -> str:
        name = f"e{next(self._numbers)}"
        self.api.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name

    def endpoint(self, config: str | None = None) -> str:
        name = self.begin(config or self.config(self.model()))
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def settled(self, endpoint: str) -> Any:
        while True:
            description = self.api.describe_endpoint(EndpointName=endpoint)
            if description["EndpointStatus"] not in ("Creating", "Updating", "RollingBack"):
                return description
            time.sleep(0.1)

    def delete(self, endpoint: str) -> None:
        self.api.delete_endpoint(EndpointName=endpoint)
        self.api.get_waiter("endpoint_deleted").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})


@pytest.fixture(scope="session")
def images() -> dict[str, list[str]]:
    return IMAGES


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("cloud"), images=IMAGES) as running:
        yield running


@pytest.fixture(scope="session")
def sagemaker(cloud: LaptopCloud) -> SageMaker:
    return SageMaker(cloud)


@pytest.fixture(scope="session")
def sagemaker_of() -> Callable[[Cloud], SageMaker]:
    return SageMaker


@pytest.fixture
def processes_of() -> Callable[[Path], list[psutil.Process]]:
    """The live processes that were started for the laptop cloud of a state directory."""

    def find(state: Path) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _belongs(process, str(state))]

    return find


def _belongs(process: psutil.Process, state: str) -> bool:
    try:
        named = [*process.cmdline(), process.environ().get("HOME", "")]
        return process.status() != psutil.STATUS_ZOMBIE and any(state in text for text in named)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
