"""The Local stage, deployed once into a laptop cloud for all end-to-end tests."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adapters.store.registry import AdapterRegistry
from laptop_cloud.cloud import LaptopCloud
from loraserve import local_stage
from loraserve.client import EndpointClient, runtime_config
from loraserve.progress import stack_progress
from tests.harness.outgoing_proxy import OutgoingProxy
from tests.harness.store import MADE_RULES, Store
from tests.hub.server import HubServer
from tests.local.clients.runner import Clients
from tests.local.processes import container_url


@dataclass(frozen=True)
class Deployed:
    """A laptop cloud with the Local stage in it."""

    cloud: LaptopCloud
    assembly: Path
    console: Console
    endpoint: str
    bucket: str

    @property
    def client(self) -> EndpointClient:
        runtime = self.cloud.client("sagemaker-runtime", runtime_config(connections=50))
        return EndpointClient(self.endpoint, runtime)

    def revision(self, adapter: str) -> str:
        """Return the registered revision of an adapter."""
        published = AdapterRegistry(self.cloud.client("s3"), self.bucket).get(adapter)
        assert published is not None
        return published.entry.revision

    @property
    def container(self) -> str:
        """The URL of the container itself."""
        return container_url(self.cloud.state)


@contextmanager
def real_account() -> Iterator[None]:
    """Set the variables of a real AWS account, which the laptop cloud must not use."""
    real = {
        "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_PROFILE": "real",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in real.items():
            patch.setitem(os.environ, name, value)
        yield


@pytest.fixture(autouse=True)
def beside_a_real_account(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set the variables for tests in the laptop cloud only: the same process runs tests of other folders."""
    with real_account() if "laptop" in request.fixturenames else nullcontext():
        yield


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """An empty laptop cloud, started with the variables of a real account."""
    with ExitStack() as stack:
        with real_account():
            cloud = stack.enter_context(LaptopCloud(tmp_path_factory.mktemp("laptop")))
        yield cloud


@pytest.fixture(scope="session")
def deployed(laptop: LaptopCloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The Local stage, bootstrapped and deployed by the CDK CLI without shortcuts."""
    console = Console()
    assembly = tmp_path_factory.mktemp("assembly") / "cdk.out"
    with real_account():
        local_stage.bootstrap(laptop, assembly)
        with stack_progress(console, "cdk deploy") as on_event:
            local_stage.deploy(laptop, assembly, on_event)
        found = local_stage.outputs(laptop)
    return Deployed(laptop, assembly, console, found["EndpointName"], found["AdapterBucket"])


@pytest.fixture(scope="session")
def clients(laptop: LaptopCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Third-party clients with the laptop cloud as their AWS."""
    with OutgoingProxy() as outside:
        yield Clients(laptop, tmp_path_factory.mktemp("home"), outside)


@pytest.fixture(scope="session")
def laptop_client(laptop: LaptopCloud) -> Callable[[str], Any]:
    """A factory of clients, which makes one of each service."""
    return functools.cache(laptop.client)


@pytest.fixture
def store(laptop: LaptopCloud) -> Store:
    """A new bucket with the rules of the generated adapters."""
    return Store(laptop.client("s3"), rules=MADE_RULES)


@pytest.fixture
def server() -> Iterator[HubServer]:
    """An empty Hub."""
    with HubServer() as hub:
        yield hub
