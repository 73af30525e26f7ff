import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapters.store.layout import (
    ADAPTER_FILES,
    RegistryEntry,
    adapter_prefix,
    content_digest,
    registry_key,
    revision_of,
)
from container.gateway.adapters.download import AdapterDownload, DownloadError

FILES = {name: f"content of {name}".encode() for name in ADAPTER_FILES}
REVISION = revision_of(
    content_digest({name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()})
)


class StubS3:
    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, files: dict[str, bytes], revision: str = REVISION) -> None:
        self.objects = {adapter_prefix("team/otter", revision) + name: body for name, body in files.items()}
        self.register(revision)
        self.downloads = 0

    def register(self, revision: str, digest: str | None = None) -> None:
        """Make the revision the current one; without a digest it is of an earlier one's content."""
        digest = digest or content_digest(
            {name: hashlib.sha256(self.objects.get(f"adapters/team/otter/{revision}/{name}", b"")).hexdigest()
             for name in ADAPTER_FILES}
        )  # fmt: skip
        current = RegistryEntry("team/otter", revision, digest, 8, 1, "base", "here")
        self.objects[registry_key("team/otter")] = current.to_json()

    def get_object(self, Bucket: str, Key: str, Range: str = "", IfMatch: str = "") -> dict[str, Any]:
        if Bucket != "bucket" or Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "Not Found"}}, "GetObject")
        body = self.objects[Key]
        if not Range:
            return {"Body": io.BytesIO(body), "ETag": "1"}
        self.downloads += 1
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        part = body[first : last + 1]
        content_range = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
        return {"Body": io.BytesIO(part), "ETag": "1", "ContentRange": content_range}


def in_cache(cache: Path, engine_id: str) -> Path:
    return cache / engine_id


def left_behind(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_a_revision_is_fetched_whole_and_once(tmp_path: Path) -> None:
    client = StubS3(FILES)
    download = AdapterDownload(client, "bucket", tmp_path, in_cache)
    directory = download.fetch("team/otter", REVISION)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == FILES
    assert download.fetch("team/otter", REVISION) == directory
    assert client.downloads == len(FILES)


def test_content_that_is_not_what_the_revision_says_is_refused(tmp_path: Path) -> None:
    changed = FILES | {"adapter_config.json": b"{}"}
    client = StubS3(changed)
    client.register("f" * 16, "f" * 64)
    with pytest.raises(DownloadError, match="changed in the bucket"):
        AdapterDownload(client, "bucket", tmp_path, in_cache).fetch("team/otter", REVISION)
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("missing", ADAPTER_FILES)
def test_a_missing_file_leaves_nothing_half_done(tmp_path: Path, missing: str) -> None:
    files = {name: body for name, body in FILES.items() if name != missing}
    with pytest.raises(DownloadError, match="Not Found"):
        AdapterDownload(StubS3(files), "bucket", tmp_path, in_cache).fetch("team/otter", REVISION)
    assert not left_behind(tmp_path)


def test_a_failed_fetch_can_be_tried_again(tmp_path: Path) -> None:
    client = StubS3({})
    download = AdapterDownload(client, "bucket", tmp_path, in_cache)
    with pytest.raises(DownloadError):
        download.fetch("team/otter", REVISION)
    client.objects = StubS3(FILES).objects
    assert download.fetch("team/otter", REVISION).is_dir()


def adapter_with(*modules: str) -> tuple[dict[str, bytes], str]:
    """An adapter with one pair of empty tensors for each module, and its revision."""
    tensors = {
        f"base_model.model.model.layers.0.self_attn.{module}.lora_{side}.weight": {
            "dtype": "F32",
            "shape": [0, 0],
            "data_offsets": [0, 0],
        }
        for module in modules
        for side in "AB"
    }
    header = json.dumps(tensors).encode()
    weights = len(header).to_bytes(8, "little") + header
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": weights}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return files, revision_of(content_digest(digests))


def test_an_adapter_that_changes_other_modules_than_engine_has_slots_for_is_refused(
    tmp_path: Path,
) -> None:
    files, revision = adapter_with("q_proj", "o_proj")
    client = StubS3(files, revision)
    narrow = AdapterDownload(client, "bucket", tmp_path, in_cache, frozenset({"q_proj", "v_proj"}))
    with pytest.raises(DownloadError, match="it changes o_proj, which this endpoint has no room for"):
        narrow.fetch("team/otter", revision)
    wide = AdapterDownload(client, "bucket", tmp_path, in_cache, frozenset({"q_proj", "o_proj"}))
    assert wide.fetch("team/otter", revision).is_dir()


def test_weights_that_can_not_be_read_are_refused_when_modules_are_checked(tmp_path: Path) -> None:
    download = AdapterDownload(StubS3(FILES), "bucket", tmp_path, in_cache, frozenset({"q_proj"}))
    with pytest.raises(DownloadError, match="safetensors"):
        download.fetch("team/otter", REVISION)


def test_a_disk_that_can_not_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a directory should be")
    with pytest.raises(DownloadError):
        AdapterDownload(StubS3(FILES), "bucket", tmp_path / "cache", in_cache).fetch("team/otter", REVISION)


def test_a_name_that_is_not_registered_is_not_served_though_its_objects_are_there(tmp_path: Path) -> None:
    client = StubS3(FILES)
    del client.objects[registry_key("team/otter")]
    with pytest.raises(DownloadError, match="not registered") as caught:
        AdapterDownload(client, "bucket", tmp_path, in_cache).fetch("team/otter", REVISION)
    assert caught.value.error_type == "adapter_missing"
    assert not left_behind(tmp_path)


def test_an_earlier_revision_is_checked_by_its_own_digest(tmp_path: Path) -> None:
    client = StubS3(FILES)
    client.register("f" * 16, "f" * 64)
    assert AdapterDownload(client, "bucket", tmp_path, in_cache).fetch("team/otter", REVISION).is_dir()


def test_the_whole_digest_of_the_current_revision_counts(tmp_path: Path) -> None:
    client = StubS3(FILES)
    client.register(REVISION, REVISION + "0" * 48)
    with pytest.raises(DownloadError, match="changed in the bucket") as caught:
        AdapterDownload(client, "bucket", tmp_path, in_cache).fetch("team/otter", REVISION)
    assert caught.value.error_type == "adapter_load_failed"


def test_a_damaged_entry_is_reported(tmp_path: Path) -> None:
    client = StubS3(FILES)
    client.objects[registry_key("team/otter")] = b"<html>"
    with pytest.raises(DownloadError, match="damaged"):
        AdapterDownload(client, "bucket", tmp_path, in_cache).fetch("team/otter", REVISION)
