"""Zip archives that other readers read differently, or not at all, are refused."""

import io
import struct
import zipfile
from collections.abc import Callable

import pytest
import torch

from adapters.files import BytesFile
from ingest.pytorch.errors import UnusableCheckpoint
from ingest.pytorch.zip_directory import MAX_FILE_BYTES, MAX_MEMBERS, read_directory
from tests.harness.factories import Hollow
from tests.unit.ingest.pytorch.building import archive, converted, expected, refusal, saved

END = 22
ENTRY = b"PK\x01\x02"
LOCAL = b"PK\x03\x04"
END64 = b"PK\x06\x06"
LOCATOR = b"PK\x06\x07"


def patched(content: bytes, at: int, form: str, value: int) -> bytes:
    """Return the content with one field replaced."""
    field = struct.pack(f"<{form}", value)
    return content[:at] + field + content[at + len(field) :]


def members(*pairs: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive with these members, whose names may be anything."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, content in pairs:
            target.writestr(name, content)
    return file.getvalue()


GOOD = archive({"data.pkl": b"}.", "data/0": bytes(64), "version": b"3\n"})
FIRST = GOOD.index(ENTRY)
SECOND = GOOD.index(ENTRY, FIRST + 1)
TORCH = saved({"a": torch.randn(4, 4)})


def test_members_are_found_with_their_places() -> None:
    found = read_directory(BytesFile(GOOD))
    assert set(found) == {"data.pkl", "data/0", "version"}
    data = found["data/0"]
    start = data.data_start(GOOD[data.header :])
    assert (GOOD[start : start + data.size], data.size) == (bytes(64), 64)


@pytest.mark.parametrize("name", ["a", "x" * 200, "modèle"])
def test_the_folder_may_have_any_name(name: str) -> None:
    found = read_directory(BytesFile(archive({"data.pkl": b"}."}, folder=name)))
    assert found["data.pkl"].path == f"{name}/data.pkl"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (members(("a/data.pkl", b"}."), ("a/data.pkl", b"].")), "two members of the name 'a/data.pkl'"),
        (members(("a/data.pkl", b"}."), ("a/DATA.pkl", b"].")), "two members of the name 'a/"),
        (members(("a/data.pkl", b"}."), ("b/data/0", b"")), "in two folders, 'a' and 'b'"),
        (members(("a/data.pkl", b"}." * 99), compression=zipfile.ZIP_DEFLATED), "a compressed member, 'a/data.pkl'"),
        (members(("a/data.pkl", b"}." * 99), compression=zipfile.ZIP_LZMA), "a compressed member"),
        (members(("a/../data.pkl", b"}.")), "an unsafe name, 'a/../data.pkl'"),
        (members(("../data.pkl", b"}.")), "an unsafe name"),
        (members(("/data.pkl", b"}.")), "an unsafe name"),
        (members(("a//data.pkl", b"}.")), "an unsafe name"),
        (members(("a/./data.pkl", b"}.")), "an unsafe name"),
        (members(("a/data/", b"")), "an unsafe name"),
        (members(("data.pkl", b"}.")), "an unsafe name"),
        (members(("a\\..\\data.pkl", b"}.")), "an unsafe name"),
        (members(("a/b\\data.pkl", b"}.")), "an unsafe name"),
        (members(("a/data\x07.pkl", b"}.")), "an unsafe name"),
        (members(("a/data\u202e.pkl", b"}.")), "an unsafe name"),
        (members(*((f"a/{number}", b"") for number in range(MAX_MEMBERS + 1))), "at most 10100 are read"),
        (GOOD + b"x", "does not end with the directory"),
        (b"x" + GOOD, "is not a PyTorch checkpoint"),
        (LOCAL + bytes(40) + GOOD, "a directory that is not where it says"),
        (GOOD[:-2] + b"\x01\x00x", "does not end with the directory"),
        (patched(GOOD, len(GOOD) - 2, "H", 1), "in several parts, or with a comment"),
        (patched(GOOD, len(GOOD) - END + 4, "H", 1), "in several parts"),
        (patched(GOOD, len(GOOD) - END + 10, "H", 2), "in several parts"),
        (patched(patched(GOOD, len(GOOD) - END + 8, "H", 2), len(GOOD) - END + 10, "H", 2), "that are no member"),
        (patched(patched(GOOD, len(GOOD) - END + 8, "H", 4), len(GOOD) - END + 10, "H", 4), "within its directory"),
        (patched(GOOD, len(GOOD) - END + 12, "I", 2**32 - 1), "at most 10100 are read"),
        (patched(GOOD, len(GOOD) - END + 16, "I", 2**32 - 1), "a directory that is not where it says"),
        (patched(GOOD, len(GOOD) - END + 16, "I", 0), "a directory that is not where it says"),
        (patched(GOOD, FIRST + 8, "H", 1), "a member that PyTorch does not write"),
        (patched(GOOD, FIRST + 8, "H", 0x40), "a member that PyTorch does not write"),
        (patched(GOOD, FIRST + 34, "H", 1), "a member that PyTorch does not write"),
        (patched(patched(GOOD, SECOND + 20, "I", 2**31), SECOND + 24, "I", 2**31), "a size that cannot be"),
        (patched(patched(GOOD, SECOND + 20, "I", 100), SECOND + 24, "I", 100), "a size that cannot be"),
        (patched(GOOD, SECOND + 24, "I", 63), "a compressed member"),
        (patched(GOOD, SECOND + 10, "H", 8), "a compressed member"),
        (patched(GOOD, SECOND + 24, "I", 2**32 - 1), "a damaged zip64 size"),
        (patched(GOOD, SECOND + 42, "I", 0), "overlapping members"),
        (patched(GOOD, SECOND + 42, "I", 1), "overlapping members"),
        (patched(GOOD, SECOND + 42, "I", 2**31), "a size that cannot be"),
        (patched(GOOD, FIRST + 42, "I", 5), "does not begin with its first member"),
        (patched(GOOD, FIRST, "I", 0), "a damaged directory"),
        (patched(GOOD, 0, "I", 0x04034B50 + 1), "is not a PyTorch checkpoint"),
        (patched(GOOD, 6, "H", 1), "does not fit its members, at 'archive/data.pkl'"),
        (patched(GOOD, 8, "H", 8), "does not fit its members"),
        (patched(GOOD, 26, "H", 5), "does not fit its members"),
        (patched(GOOD, 28, "H", 9999), "overlapping members, at 'archive/data.pkl'"),
        (patched(GOOD, 30, "B", ord("x")), "does not fit its members"),
    ],
)  # fmt: skip
def test_tricks_are_refused(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


def of_torch(form: str, at: int, value: int, record: bytes = END64) -> Callable[[], bytes]:
    return lambda: patched(TORCH, TORCH.index(record) + at, form, value)


@pytest.mark.parametrize(
    "content",
    [
        of_torch("Q", 4, 45),
        of_torch("I", 16, 1),
        of_torch("I", 20, 1),
        of_torch("Q", 24, 2**60),
        of_torch("Q", 32, 2**60),
        of_torch("Q", 32, 1),
        of_torch("Q", 40, 2**63),
        of_torch("Q", 48, 2**63),
        of_torch("Q", 8, 2**63, LOCATOR),
        of_torch("Q", 8, 0, LOCATOR),
        of_torch("I", 4, 1, LOCATOR),
        of_torch("I", 16, 2, LOCATOR),
        of_torch("I", 0, 0),
    ],
)
def test_damaged_zip64_records_are_refused(content: Callable[[], bytes]) -> None:
    with pytest.raises(UnusableCheckpoint):
        read_directory(BytesFile(content()))


def with_zip64_field(field: bytes) -> bytes:
    """Return an archive whose only storage has its size in a field of 64 bits."""
    content = saved({"a": torch.arange(4.0)})
    entry = content.index(b"archive/data/0", content.index(ENTRY)) - 46
    name = struct.unpack_from("<H", content, entry + 28)[0]
    at = entry + 46 + name
    content = patched(patched(content, entry + 20, "I", 2**32 - 1), entry + 24, "I", 2**32 - 1)
    content = patched(content, entry + 30, "H", len(field))
    content = content[:at] + field + content[at:]
    end64, locator, end = content.index(END64), content.index(LOCATOR), len(content) - END
    size = struct.unpack_from("<Q", content, end64 + 40)[0] + len(field)
    content = patched(patched(content, end64 + 40, "Q", size), end + 12, "I", size)
    return patched(content, locator + 8, "Q", end64)


def test_sizes_of_64_bits_are_read() -> None:
    content = with_zip64_field(struct.pack("<2H2Q", 1, 16, 16, 16))
    assert converted(content) == expected(saved({"a": torch.arange(4.0)}))


@pytest.mark.parametrize(
    "field",
    [
        struct.pack("<2H2Q", 1, 16, 2**63, 2**63),
        struct.pack("<2H2Q", 1, 16, 17, 17),
        struct.pack("<2HQ", 1, 8, 16),
        struct.pack("<2H3Q", 1, 24, 16, 16, 0),
        struct.pack("<2H2Q", 2, 16, 16, 16),
        struct.pack("<2H2Q", 1, 60, 16, 16),
        struct.pack("<2H2Q2H2Q", 1, 16, 16, 16, 1, 16, 8, 8),
        b"\x01",
    ],
)
def test_damaged_sizes_of_64_bits_are_refused(field: bytes) -> None:
    assert refusal(with_zip64_field(field))


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(UnusableCheckpoint, match=f"of which at most {MAX_FILE_BYTES} are read"):
        read_directory(Hollow(GOOD, MAX_FILE_BYTES + 1))


def test_a_directory_that_is_longer_than_the_tail_is_read() -> None:
    content = archive({"data.pkl": b"}.", **{f"data/{number}": b"" for number in range(5000)}})
    assert len(read_directory(BytesFile(content))) == 5001
