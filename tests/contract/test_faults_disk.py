"""A disk without space for an adapter, or without the cache's directory."""

import contextlib
import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from adapters.store.layout import (
    WEIGHTS_FILE,
    RegistryEntry,
    adapter_prefix,
    content_digest,
    registry_key,
    revision_of,
)
from container.gateway.adapters.download import AdapterDownload, DownloadError
from container.gateway.errors import ADAPTER_LOAD_FAILED
from container.vllm.problems import leave_problem, take_problem
from tests.contract.faulty_s3 import BUCKET, Fault, FaultyS3
from tests.harness.sample_adapters import sample_files

NAME = "otter"
FILES = sample_files(NAME)
DIGEST = content_digest({file: hashlib.sha256(body).hexdigest() for file, body in FILES.items()})
REVISION = revision_of(DIGEST)
ENGINE_ID = adapter_prefix(NAME, REVISION)


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let writes beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def left_behind(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file() or path.name.startswith("fetching-")]


def in_cache(cache: Path, engine_id: str) -> Path:
    return cache / engine_id


@pytest.fixture
def store() -> FaultyS3:
    entry = RegistryEntry(NAME, REVISION, DIGEST, 8, len(FILES[WEIGHTS_FILE]), "tiny-mistral", "here")
    objects = {adapter_prefix(NAME, REVISION) + file: body for file, body in FILES.items()}
    return FaultyS3(objects | {registry_key(NAME): entry.to_json()})


@pytest.fixture
def client(store: FaultyS3) -> Iterator[Any]:
    with store.serving() as url:
        yield boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )


def test_a_full_disk_is_reported_leaves_nothing_and_is_tried_again(client: Any, tmp_path: Path) -> None:
    download = AdapterDownload(client, BUCKET, tmp_path, in_cache)
    with no_file_above(len(FILES[WEIGHTS_FILE]) // 2), pytest.raises(DownloadError) as refused:
        download.fetch(NAME, REVISION)
    assert refused.value.error_type == ADAPTER_LOAD_FAILED
    assert not left_behind(tmp_path)
    directory = download.fetch(NAME, REVISION)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == FILES


@pytest.mark.parametrize(
    "fault",
    [fault for fault in Fault if fault not in {Fault.NONE, Fault.HANGING}],
    ids=lambda fault: fault.name,
)
def test_a_download_that_breaks_leaves_nothing_and_is_tried_again(
    client: Any, store: FaultyS3, tmp_path: Path, fault: Fault
) -> None:
    download = AdapterDownload(client, BUCKET, tmp_path, in_cache)
    with store.broken(fault), pytest.raises(DownloadError) as refused:
        download.fetch(NAME, REVISION)
    assert refused.value.error_type == ADAPTER_LOAD_FAILED
    assert not left_behind(tmp_path)
    assert download.fetch(NAME, REVISION).is_dir()


def test_a_cache_that_is_no_directory_is_reported(client: Any, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file")
    with pytest.raises(DownloadError) as refused:
        AdapterDownload(client, BUCKET, cache, in_cache).fetch(NAME, REVISION)
    assert refused.value.error_type == ADAPTER_LOAD_FAILED


def test_why_it_failed_is_left_for_the_gateway_if_there_is_room(tmp_path: Path) -> None:
    leave_problem(tmp_path, ENGINE_ID, ADAPTER_LOAD_FAILED, "no space")
    problem = take_problem(tmp_path, ENGINE_ID)
    assert problem is not None
    assert (problem.status, problem.message) == (424, "no space")
    assert take_problem(tmp_path, ENGINE_ID) is None


def test_where_there_is_no_room_for_reason_either_nothing_half_written_is_left(tmp_path: Path) -> None:
    with no_file_above(3):
        leave_problem(tmp_path, ENGINE_ID, ADAPTER_LOAD_FAILED, "no space")
    assert not left_behind(tmp_path)
    assert take_problem(tmp_path, ENGINE_ID) is None


def test_where_there_is_no_place_for_the_reason_it_is_left_out(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file")
    leave_problem(cache, ENGINE_ID, ADAPTER_LOAD_FAILED, "no space")
    assert take_problem(cache, ENGINE_ID) is None
