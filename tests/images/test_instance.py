"""An instance of an endpoint runs an image in a sandbox: model data, health check, logs, stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION, Account
from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.containers.embedded_metrics import EmbeddedMetrics
from laptop_cloud.containers.instance import Instance, InstanceFailed, ModelData, StartLimits
from laptop_cloud.containers.logs import ContainerLog
from laptop_cloud.containers.runtime import SandboxRuntime
from laptop_cloud.containers.sandbox.image_config import ImageConfig
from tests.images.small_image import IMAGE, MOUNTS, PYTHON, small_layers

ACCOUNT = Account(DEFAULT_ACCOUNT, DEFAULT_REGION)
GROUP = "/aws/sagemaker/Endpoints/e"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("cloud")) as running:
        s3 = running.client("s3")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key="tiny/weights", Body=b"the weights")
        yield running


def instance(
    cloud: LaptopCloud, folder: Path, session: Any, image: ImageConfig = IMAGE, **environment: str
) -> Instance:
    log = folder / "instance.log"
    log.touch()
    return Instance(
        variant="Main",
        runtime=SandboxRuntime(
            layers=tuple(small_layers(folder)),
            image=image,
            environment=environment,
            endpoint_url=cloud.url,
            credentials={},
            mounts=MOUNTS,
        ),
        model_data=ModelData(uri="s3://models/tiny/", make_s3=lambda: cloud.client("s3")),
        limits=StartLimits(download_s=30, health_s=30),
        directory=log.with_suffix(""),
        log=log,
        cloud_log=ContainerLog(
            log, GROUP, folder.name, lambda: cloud.client("logs"), EmbeddedMetrics(ACCOUNT)
        ),
        session=session,
    )


async def test_an_instance_serves_with_its_model_data_and_stops(cloud: LaptopCloud, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        running = instance(cloud, tmp_path, session, START="print('started', flush=True)")
        await running.start()
        code = "import os; print(os.getpid(), open('/opt/ml/model/weights').read())"
        async with session.post(f"{running.url}/invocations", data=code) as answer:
            assert await answer.text() == "1 the weights\n"
        assert running.alive
        began = time.monotonic()
        await running.stop()
        assert time.monotonic() - began < 5
        assert not running.alive
    assert not (tmp_path / "instance").exists()
    events = cloud.client("logs").get_log_events(logGroupName=GROUP, logStreamName=tmp_path.name)["events"]
    assert [event["message"] for event in events] == ["started"]


async def test_an_instance_that_ignores_sigterm_is_killed(cloud: LaptopCloud, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        running = instance(cloud, tmp_path, session, IGNORE_SIGTERM="1")
        await running.start()
        began = time.monotonic()
        await running.stop(grace_s=1.5)
        assert 1.5 <= time.monotonic() - began < 5
        assert not running.alive


async def test_an_image_that_ends_fails_with_its_output(cloud: LaptopCloud, tmp_path: Path) -> None:
    image = ImageConfig(entrypoint=(PYTHON, "-c", "import sys; sys.exit('no such GPU')"))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(
            InstanceFailed, match=r"exited with status 1 before it was healthy[\s\S]*no such GPU"
        ):
            await instance(cloud, tmp_path, session, image).start()
    assert not (tmp_path / "instance").exists()
