"""One laptop cloud for the tests of this folder, whose one image is `answering_container.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop_cloud.cloud import LaptopCloud
from tests.local.updates.served import Endpoints

_CONTAINER = Path(__file__).with_name("answering_container.py")


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    images = {"localhost/answering": [sys.executable, str(_CONTAINER)]}
    with LaptopCloud(tmp_path_factory.mktemp("updates"), images=images) as running:
        yield running


@pytest.fixture(scope="package")
def endpoints(cloud: LaptopCloud) -> Endpoints:
    return Endpoints(cloud)
