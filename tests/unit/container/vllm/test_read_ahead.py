"""Reading ahead of the engine: the kernel's page cache is asked which pages it has."""

import mmap
import os
from pathlib import Path

import pytest

from container.vllm import read_ahead
from container.vllm.read_ahead import ReadAhead


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories that are read."""
    found: list[Path] = []
    really = read_ahead._read

    def note(directory: Path) -> None:
        found.append(directory)
        really(directory)

    monkeypatch.setattr(read_ahead, "_read", note)
    return found


async def test_files_are_read_unless_vllm_has_the_adapter_in_memory(tmp_path: Path, read: list[Path]) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_model.safetensors").write_bytes(os.urandom(2 * mmap.PAGESIZE))
    subject = ReadAhead(resident=2)
    subject.used("a")
    for name in "abacab":
        await subject.before_use(name, tmp_path / name)
    # a and b fit; c drops b, the next b drops c.
    assert [path.name for path in read] == ["b", "c", "b"]
    subject.unloaded("a")
    await subject.before_use("a", tmp_path / "a")
    assert read[-1].name == "a"


async def test_files_that_are_gone_are_no_error(tmp_path: Path, read: list[Path]) -> None:
    await ReadAhead(resident=1).before_use("a", tmp_path / "a")
    assert len(read) == 1
