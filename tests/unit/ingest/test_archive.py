import io
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.files import BytesFile
from ingest.archive import Archive

CONTENT = random.Random(0).randbytes(300_000) + bytes(700_000)


class Counting(BytesFile):
    """Counts the bytes that are read of it."""

    read_bytes = 0

    def read(self, start: int, length: int) -> bytes:
        data = super().read(start, length)
        self.read_bytes += len(data)
        return data


def archived(**files: bytes) -> Counting:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return Counting(target.getvalue())


def test_any_range_of_a_compressed_file_can_be_read_in_any_order() -> None:
    file = Archive(archived(weights=CONTENT)).file("weights")
    assert file.size == len(CONTENT)
    for start, length in [(0, 10), (500_000, 100), (10, 1000), (len(CONTENT) - 5, 100), (len(CONTENT), 1)]:
        assert file.read(start, length) == CONTENT[start : start + length]


def test_several_threads_read_several_files_at_once() -> None:
    files = {f"file{number}": CONTENT[number * 1000 :] for number in range(8)}
    archive = Archive(archived(**files))
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: archive.file(name).read(0, len(CONTENT)), files)
    assert list(found) == list(files.values())


def test_of_a_large_archive_only_what_is_asked_for_is_read() -> None:
    random_files = {f"file{number}": random.Random(number).randbytes(500_000) for number in range(10)}
    source = archived(**random_files, manifest=b"{}")
    assert Archive(source).read("manifest") == b"{}"
    assert source.read_bytes < source.size / 5


def test_a_file_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Archive(archived(one=b"1")).file("two")
