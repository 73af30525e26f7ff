import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from container.gateway.adapters import object_download
from container.gateway.adapters.object_download import ATTEMPTS, NotS3, ObjectDownload

PART = 8
CONTENT = bytes(range(3 * PART + 1))


class BrokenBody:
    def read(self) -> bytes:
        raise IncompleteReadError(actual_bytes=1, expected_bytes=PART)


class RangedS3:
    """One object, whose content changes or whose answers break after a number of requests."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.ranges: list[str] = []
        self.breaks: dict[int, int] = {}
        """Answers that break, by the first byte of their range."""
        self.changes_after = 1000

    def get_object(self, Bucket: str, Key: str, Range: str, IfMatch: str | None = None) -> dict[str, Any]:
        self.ranges.append(Range)
        etag = "1" if len(self.ranges) <= self.changes_after else "2"
        if IfMatch not in (None, etag):
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "changed"}}, "GetObject")
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        part = self.content[first : last + 1]
        broken = self.breaks.get(first, 0) > 0
        if broken:
            self.breaks[first] -= 1
        total = f"bytes {first}-{first + len(part) - 1}/{len(self.content)}"
        return {"Body": BrokenBody() if broken else io.BytesIO(part), "ETag": etag, "ContentRange": total}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_download, "PART_BYTES", PART)


def fetch(client: Any, path: Path, threads: int = 2) -> str:
    with ThreadPoolExecutor(threads) as pool:
        return ObjectDownload(client, "bucket", pool).fetch("key", path)


@pytest.mark.parametrize("threads", [1, 2, 10])
@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 1])
def test_the_file_and_its_hash_are_the_objects_and_each_byte_is_asked_for_once(
    tmp_path: Path, size: int, threads: int
) -> None:
    client = RangedS3(CONTENT[:size])
    digest = fetch(client, tmp_path / "file", threads)
    assert (tmp_path / "file").read_bytes() == CONTENT[:size]
    assert digest == hashlib.sha256(CONTENT[:size]).hexdigest()
    assert len(set(client.ranges)) == len(client.ranges) == -(-size // PART)


def test_an_answer_that_breaks_is_asked_for_again(tmp_path: Path) -> None:
    client = RangedS3()
    client.breaks = {0: 1, 2 * PART: ATTEMPTS - 1}
    assert fetch(client, tmp_path / "file") == hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [0, 1, 3])
def test_an_answer_that_breaks_each_time_ends_the_download(tmp_path: Path, part: int) -> None:
    client = RangedS3()
    client.breaks = {part * PART: ATTEMPTS}
    with pytest.raises(IncompleteReadError):
        fetch(client, tmp_path / "file")


def test_an_object_that_changes_between_two_parts_ends_the_download(tmp_path: Path) -> None:
    client = RangedS3()
    client.changes_after = 2
    with pytest.raises(ClientError, match="changed"):
        fetch(client, tmp_path / "file", 1)


def test_an_answer_without_a_range_is_refused(tmp_path: Path) -> None:
    class Page:
        def get_object(self, **_: str) -> dict[str, Any]:
            return {"Body": io.BytesIO(b"<html>"), "ContentLength": 6}

    with pytest.raises(NotS3, match="proxy"):
        fetch(Page(), tmp_path / "file")
    assert not (tmp_path / "file").exists()
