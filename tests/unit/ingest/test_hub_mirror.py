"""A mirror below a path, as artifact repositories have it, and what it may leave out."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.source import HubSource, SourceError
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from ingest.hub import Hub
from ingest.locator import Locator
from stacks.project import ROOT
from tests.harness import factories
from tests.harness.outgoing_proxy import OutgoingProxy
from tests.hub.repository import Faults
from tests.hub.server import HubServer
from tests.unit.ingest.test_base_model import model_files, opened

PATH = "/artifactory/api/huggingfaceml/hf-remote"
TOKEN = "hf_reader"
REPO = "acme/summaries"


@pytest.fixture
def mirror() -> Iterator[HubServer]:
    with HubServer(path=PATH) as hub:
        hub.tokens = {TOKEN: {REPO, factories.BASE}}
        yield hub


def located(hub: Hub, source: HubSource) -> tuple[bytes, bytes]:
    files = Locator(None, "", hub, None, {}).locate(source)
    return files.config, bytes(files.weights.read(0, files.weights.size))


@pytest.mark.parametrize("faults", [Faults(), Faults(bare_listing=True), Faults(refuse_queries=True)])
def test_an_adapter_in_a_folder_of_a_private_repository(mirror: HubServer, faults: Faults) -> None:
    mirror.faults = faults
    adapter = factories.adapter(1)
    commit = mirror.add(REPO, {f"en/{file}": content for file, content in adapter.items()}, private=True)
    found = located(Hub(mirror.endpoint, TOKEN), HubSource(REPO, commit, "en"))
    assert found == (adapter[CONFIG_FILE], adapter[WEIGHTS_FILE])
    tokens = {(request.host, request.token) for request in mirror.requests}
    assert tokens == {("hub", TOKEN), ("cdn", None)}, "no other host gets the token"
    refused = [request.query for request in mirror.requests if request.status >= 400]
    assert refused == (["blobs=true"] if faults.refuse_queries else [])


def test_a_branch_whose_commit_is_not_listed(mirror: HubServer) -> None:
    mirror.faults = Faults(unnamed_commit=True)
    adapter = factories.adapter(1)
    commit = mirror.add(REPO, {**adapter})
    assert located(Hub(mirror.endpoint), HubSource(REPO, commit))[0] == adapter[CONFIG_FILE]
    with pytest.raises(SourceError, match=r"@main': the Hub does not say the commit of main; name a commit$"):
        Hub(mirror.endpoint).snapshot(HubSource(REPO, "main"))


def test_a_base_model(mirror: HubServer) -> None:
    source = HubSource(factories.BASE, mirror.add(factories.BASE, {**model_files()}, gated=True))
    assert opened(mirror, source, token=TOKEN, mirrored=True) == {"config.json", "model.safetensors"}


def test_many_folders_of_one_commit_are_listed_once(mirror: HubServer) -> None:
    adapter = factories.adapter(1)
    folders = [f"lora/{number}" for number in range(5)]
    files = {f"{folder}/{file}": content for folder in folders for file, content in adapter.items()}
    commit, hub = mirror.add(REPO, files), Hub(mirror.endpoint)
    for folder in folders:
        assert located(hub, HubSource(REPO, commit, folder))[0] == adapter[CONFIG_FILE]
    assert sum(request.route != "cdn" and "/api/models/" in request.path for request in mirror.requests) == 1


@pytest.mark.parametrize(
    ("source", "reported"),
    [
        (HubSource(REPO, "main/en"), f"copy the commit from https://huggingface.co/{REPO}/commits/main; for a "
         f"folder, write hf://{REPO}/en@main"),
        (HubSource("acme/absent", "main"), "the Hub has no such repository, or it is private; check the spelling"),
        (HubSource(REPO, "main", "de"), "the repository has no folder 'de'; a folder has an adapter: en; name it, "
         f"as hf://{REPO}/en@main"),
    ],
)  # fmt: skip
def test_messages_name_pages_that_exist(mirror: HubServer, source: HubSource, reported: str) -> None:
    mirror.add(REPO, {f"en/{file}": content for file, content in factories.adapter(1).items()})
    with pytest.raises(SourceError) as refused:
        located(Hub(mirror.endpoint), source)
    assert reported in str(refused.value)


def test_a_path_that_is_not_the_mirrors(mirror: HubServer) -> None:
    hub = Hub(mirror.endpoint.replace("hf-remote", "hf-other"))
    with pytest.raises(SourceError) as refused:
        located(hub, HubSource(REPO, "main"))
    assert (
        f"the Hub answers HTTP 404; check repository and revision at https://huggingface.co/{REPO}, and that"
        in str(refused.value)
    )
    assert hub.endpoint in str(refused.value)


def test_no_other_host_is_asked(mirror: HubServer, tmp_path: Path) -> None:
    """In a new process: huggingface_hub keeps what it has asked for, in memory and in HF_HOME."""
    commit = mirror.add(REPO, {**factories.adapter(1)})
    program = (
        "from adapters.source import HubSource; from ingest.hub import Hub\n"
        f"print(sorted(Hub({mirror.endpoint!r}).snapshot(HubSource({REPO!r}, {commit!r})).files))"
    )
    unset = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with OutgoingProxy() as outside:
        environment = unset | outside.environment | {"HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
    assert CONFIG_FILE in done.stdout, done.stderr
    assert outside.asked == []
