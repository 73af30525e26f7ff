import asyncio
import threading
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from adapters.errors import InvalidName
from container.gateway.adapters.download import DownloadError, parse_engine_id
from container.vllm.command import RESOLVER_PLUGIN
from container.vllm.problems import take_problem

pytest.importorskip("vllm", reason="vLLM is not installed")

from container.vllm import resolver

REVISION = "0123456789abcdef"
ENGINE_ID = f"adapters/team/otter/{REVISION}/"


class StubDownload:
    def __init__(self, failure: DownloadError | None = None) -> None:
        self.failure = failure
        self.fetched: list[tuple[str, str]] = []
        self.go = threading.Event()
        self.go.set()

    def fetch(self, name: str, revision: str) -> Path:
        self.fetched.append((name, revision))
        self.go.wait(timeout=10)
        if self.failure:
            raise self.failure
        return Path("/cache") / name / revision


async def test_an_engine_id_becomes_a_request_for_its_directory(tmp_path: Path) -> None:
    download = StubDownload()
    request = await resolver.AdapterStoreResolver(download, tmp_path).resolve_lora("base", ENGINE_ID)
    assert request is not None
    assert (request.lora_name, request.lora_path) == (ENGINE_ID, f"/cache/team/otter/{REVISION}")
    assert request.lora_int_id > 0


def test_the_number_of_an_adapter_is_stable() -> None:
    assert resolver.lora_int_id(REVISION) == resolver.lora_int_id(REVISION)
    assert resolver.lora_int_id("0" * 16) > 0


@pytest.mark.parametrize(
    "name",
    [
        "team/otter",
        f"adapters/otter/{REVISION}",
        f"adapters/{REVISION}/",
        f"adapters/otter/{REVISION[:-1]}/",
        f"adapters/../otter/{REVISION}/",
        f"adapters/otter//{REVISION}/",
        f"/adapters/otter/{REVISION}/",
        f"adapters/otter/{REVISION}/\n",
        f"s3://bucket/adapters/otter/{REVISION}/",
    ],
)
async def test_nothing_but_an_exact_engine_id_is_fetched(name: str, tmp_path: Path) -> None:
    download = StubDownload()
    assert await resolver.AdapterStoreResolver(download, tmp_path).resolve_lora("base", name) is None
    assert not download.fetched
    with pytest.raises(InvalidName):
        parse_engine_id(name)


async def test_a_failed_download_is_not_found_and_its_reason_goes_to_the_gateway(tmp_path: Path) -> None:
    download = StubDownload(DownloadError("adapter_load_failed", "changed in the bucket"))
    assert await resolver.AdapterStoreResolver(download, tmp_path).resolve_lora("base", ENGINE_ID) is None
    problem = take_problem(tmp_path, ENGINE_ID)
    assert problem is not None
    assert (problem.status, problem.message) == (424, "changed in the bucket")
    assert take_problem(tmp_path, ENGINE_ID) is None, "it is returned once"


async def test_requests_at_the_same_time_share_one_download(tmp_path: Path) -> None:
    download = StubDownload()
    download.go.clear()
    subject = resolver.AdapterStoreResolver(download, tmp_path)
    waiting = [asyncio.create_task(subject.resolve_lora("base", ENGINE_ID)) for _ in range(5)]
    await asyncio.sleep(0)
    download.go.set()
    assert all(await asyncio.gather(*waiting))
    assert download.fetched == [("team/otter", REVISION)]


def test_vllm_finds_plugin_under_name_that_container_allows() -> None:
    (found,) = entry_points(group="vllm.general_plugins", name=RESOLVER_PLUGIN)
    assert found.load() is resolver.register
