"""Comparison of adapters' weights, which explains equal probes."""

import json
import struct
from pathlib import Path

import pytest

from adapters.store.layout import ADAPTER_FILES, WEIGHTS_FILE, revision_of
from container.gateway.identity.weights import are_alike, is_published
from samples.spec import ADAPTERS_DIR
from tests.harness.sample_adapters import digest_of, sample_files

RANK, SIDE = 4, 16
A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def write(directory: Path, dtype: str, a: list[list[float]], b: list[list[float]]) -> Path:
    """Write an adapter of one layer: `a` has a row for each dimension of the rank, `b` one for each output."""
    directory.mkdir()

    def encoded(rows: list[list[float]]) -> bytes:
        values = [value for row in rows for value in row]
        if dtype == "BF16":
            return b"".join(struct.pack("<f", value)[2:] for value in values)
        return struct.pack(f"<{len(values)}{'e' if dtype == 'F16' else 'f'}", *values)

    data, header, start = b"", {}, 0
    for name, rows in ((A, a), (A.replace("lora_A", "lora_B"), b)):
        data += encoded(rows)
        header[name] = {
            "dtype": dtype,
            "shape": [len(rows), len(rows[0])],
            "data_offsets": [start, len(data)],
        }
        start = len(data)
    text = json.dumps(header).encode()
    (directory / WEIGHTS_FILE).write_bytes(len(text).to_bytes(8, "little") + text + data)
    return directory


def matrices(seed: int) -> tuple[list[list[float]], list[list[float]]]:
    values = [((seed * (each + 3) * 7919) % 101 - 50) / 16 for each in range(2 * RANK * SIDE)]
    a = [values[row * SIDE : (row + 1) * SIDE] for row in range(RANK)]
    rest = values[RANK * SIDE :]
    return a, [rest[row * RANK : (row + 1) * RANK] for row in range(SIDE)]


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_copy_with_its_rank_in_another_order_and_scale_is_alike(tmp_path: Path, dtype: str) -> None:
    a, b = matrices(1)
    one = write(tmp_path / "one", dtype, a, b)
    moved = write(
        tmp_path / "moved",
        dtype,
        [[2 * value for value in row] for row in reversed(a)],
        [[value / 2 for value in reversed(row)] for row in b],
    )
    other = write(tmp_path / "other", dtype, *matrices(5))
    assert are_alike(one, moved)
    assert not are_alike(one, other)


def test_samples_are_not_alike_and_each_is_like_itself() -> None:
    assert are_alike(ADAPTERS_DIR / "otter", ADAPTERS_DIR / "otter")
    assert not are_alike(ADAPTERS_DIR / "condor", ADAPTERS_DIR / "gibbon"), "the two with the nearest probes"


def test_what_cannot_be_read_is_not_held_against_an_adapter(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(b"not weights")
    assert are_alike(tmp_path, ADAPTERS_DIR / "otter")
    assert are_alike(ADAPTERS_DIR / "otter", tmp_path / "missing")
    assert is_published(tmp_path / "missing", "0" * 16)


def test_files_are_those_of_their_revision(tmp_path: Path) -> None:
    files = sample_files("otter")
    for file in ADAPTER_FILES:
        (tmp_path / file).write_bytes(files[file])
    revision = revision_of(digest_of(files))
    assert is_published(tmp_path, revision)
    (tmp_path / WEIGHTS_FILE).write_bytes((ADAPTERS_DIR / "bison" / WEIGHTS_FILE).read_bytes())
    assert not is_published(tmp_path, revision)
