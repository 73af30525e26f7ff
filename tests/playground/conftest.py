"""A laptop cloud with an endpoint (the gateway, an engine that computes nothing) and 500 adapters, and its page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.webdriver import WebDriver

from adapters.store.layout import RegistryEntry, registry_key
from benchmarks.null_engine import install_as_vllm
from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.containers.addresses import container_urls
from loraserve.playground.process import page_process
from loraserve.playground.settings import PageSettings
from loraserve.setup.isolated import PLAYGROUND
from stacks.project import ROOT
from tests.harness.http_client import Client
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until

ADAPTERS = 500
BUCKET, ENDPOINT = "playground", "compared"
ROLE = "arn:aws:iam::000000000000:role/execution"


@dataclass(frozen=True)
class Served:
    """The page, and the cloud whose endpoint it asks."""

    cloud: LaptopCloud
    url: str

    def stop_endpoint(self) -> None:
        """Delete the endpoint, and return when it is gone."""
        api = self.cloud.client("sagemaker")
        api.delete_endpoint(EndpointName=ENDPOINT)
        wait_until(lambda: not api.list_endpoints()["Endpoints"], "the endpoint is gone")


def publish(cloud: LaptopCloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)

    def put(number: int) -> None:
        team = {"team": "alpha" if number % 2 else "beta"}
        name, digest = f"adapter-{number:03d}", f"{number:064x}"
        entry = RegistryEntry(name, digest[-16:], digest, 8, 400_000, "tiny-mistral", "tests", labels=team)
        s3.put_object(Bucket=BUCKET, Key=registry_key(name), Body=entry.to_json())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(ADAPTERS)))


def deploy(cloud: LaptopCloud, folder: Path) -> None:
    install_as_vllm(folder / "path")
    environment = {
        "PYTHONPATH": f"{folder / 'path'}:{ROOT}",
        "HF_MODEL_ID": "tiny-mistral",
        "ADAPTER_BUCKET": BUCKET,
        "ENDPOINT_NAME": ENDPOINT,
    }
    api = cloud.client("sagemaker")
    container = {"Image": "localhost/vllm:test", "Environment": environment}
    api.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {
        "VariantName": "Main", "ModelName": "m", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1,
    }  # fmt: skip
    api.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    api.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="c")
    while (status := api.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"]) == "Creating":
        time.sleep(0.1)
    assert status == "InService"


@contextmanager
def running_page(settings: PageSettings, environment: Mapping[str, str]) -> Iterator[str]:
    """Run the page, and return its URL once it answers."""
    PLAYGROUND.ensure()
    with page_process(PLAYGROUND.folder / "bin" / "python", settings, environment) as page:

        def is_up() -> bool:
            assert page.poll() is None, "the page's process has ended"
            try:
                return Client(settings.port).get("/").status == 200
            except OSError:
                return False

        wait_until(is_up, "the page answers", 90)
        yield f"http://127.0.0.1:{settings.port}/"


@contextmanager
def chromium(folder: Path) -> Iterator[WebDriver]:
    """Start a browser that finds no name of another machine; downloads are written to `folder`."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program, "install it: apt install chromium"
    assert driver, "install it: apt install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,800",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", f"--user-data-dir={folder / 'profile'}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("playground")
    with LaptopCloud(folder / "cloud") as cloud:
        publish(cloud)
        deploy(cloud, folder)
        settings = PageSettings(
            endpoint=ENDPOINT,
            port=free_port(),
            region="us-east-1",
            bucket=BUCKET,
            containers=container_urls(cloud.state),
        )
        with running_page(settings, cloud.environment) as url:
            yield Served(cloud, url)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    with chromium(tmp_path) as chrome:
        yield chrome
