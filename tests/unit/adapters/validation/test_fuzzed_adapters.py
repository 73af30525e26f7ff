"""Fuzzed adapters are valid, or refused with a message; fast, and in little memory."""

import gc
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.engines.record import FEATURES
from adapters.errors import InvalidAdapter
from adapters.validation.adapter_config import MAX_CONFIG_BYTES
from adapters.validation.base_model import BaseModelFacts, InvalidBaseModel
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from adapters.validation.safetensors import MAX_HEADER_BYTES
from tests.unit.adapters.validation.building import BASE, CONFIG, RecordingFile, safetensors, shapes
from tests.unit.adapters.validation.building import tensors as file_with

VALID_CONFIG = json.dumps(CONFIG).encode()
VALID_WEIGHTS = file_with(shapes())
VALID_HEADER: dict[str, Any] = json.loads(VALID_WEIGHTS[8 : 8 + int.from_bytes(VALID_WEIGHTS[:8], "little")])
DATA_SIZE = len(VALID_WEIGHTS) - 8 - int.from_bytes(VALID_WEIGHTS[:8], "little")
SECONDS = 3

NUMBERS = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 2**64, -1, 10**4000])
WORDS = st.text(max_size=8) | st.sampled_from(
    ["LORA", "q_proj", "none", "tiny-mistral", "F32", "^a.b$", "(a+)+$"]
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
KEYS = sorted({*CONFIG, *FEATURES, "auto_mapping", "exclude_modules"})
CONFIGS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6).map(
    lambda change: json.dumps(CONFIG | change).encode()
)
ENGINES = st.sampled_from(["lorax", "vllm"])


def verdict(
    config: bytes, content: bytes, engine: str = "vllm", size: int | None = None, base: Any = BASE
) -> str | None:
    """Return the reason of the refusal, None if there is none; fail on any other exception or a read too many."""
    file = RecordingFile(content, size)
    try:
        check_adapter("otter", config, file, Rules(engine, 64, "tiny-mistral", ("q_proj", "v_proj")), base)
    except InvalidAdapter as error:
        assert str(error).isprintable()
        assert len(str(error)) < 3000
        return str(error)
    finally:
        assert len(file.reads) <= 2
        assert sum(file.reads) <= MAX_HEADER_BYTES + 8
    return None


def test_the_adapter_that_is_changed_below_is_valid() -> None:
    assert verdict(VALID_CONFIG, VALID_WEIGHTS) is None
    assert verdict(VALID_CONFIG, VALID_WEIGHTS, "lorax") is None


@given(st.binary(max_size=300), st.integers(0, 2**70) | st.none())
def test_any_bytes_are_no_weights(content: bytes, size: int | None) -> None:
    assert verdict(VALID_CONFIG, content, size=size) is not None


@given(
    length=st.integers(0, 2**64 - 1) | st.integers(0, 400), size=st.integers(0, 2**70) | st.integers(0, 400)
)
def test_no_length_whatever_makes_it_read_more_than_there_can_be(length: int, size: int) -> None:
    assert verdict(VALID_CONFIG, length.to_bytes(8, "little") + b"{" * 300, size=size) is not None


@given(JSON, st.integers(0, 100))
def test_any_json_is_no_header_of_this_adapter(header: Any, data: int) -> None:
    assert verdict(VALID_CONFIG, safetensors(header, data)) is not None


@given(st.data(), ENGINES)
def test_a_header_with_one_value_changed_is_refused(data: st.DataObject, engine: str) -> None:
    header = json.loads(json.dumps(VALID_HEADER))
    tensor = data.draw(st.sampled_from(sorted(header)))
    field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
    value = data.draw(JSON | st.lists(st.integers(-10, DATA_SIZE + 10), max_size=3))
    changed = value != header[tensor][field]
    header[tensor][field] = value
    assert (verdict(VALID_CONFIG, safetensors(header, DATA_SIZE), engine) is not None) == changed


@given(st.integers(0, len(VALID_WEIGHTS) - DATA_SIZE - 1), st.binary(max_size=4), st.integers(0, 4), ENGINES)
def test_a_file_with_some_bytes_of_its_header_changed_is_valid_or_refused(
    position: int, inserted: bytes, removed: int, engine: str
) -> None:
    content = VALID_WEIGHTS[:position] + inserted + VALID_WEIGHTS[position + removed :]
    for base in (BASE, None):
        verdict(VALID_CONFIG, content, engine, base=base)


@given(st.integers(0, len(VALID_WEIGHTS) - 1))
def test_a_file_cut_off_anywhere_is_refused(length: int) -> None:
    assert verdict(VALID_CONFIG, VALID_WEIGHTS[:length]) is not None


@given(
    st.dictionaries(
        st.text(max_size=30) | st.sampled_from(sorted(VALID_HEADER)), st.integers(0, 9), max_size=8
    ),
    ENGINES,
)
def test_tensors_of_any_names_are_valid_or_refused(names: dict[str, int], engine: str) -> None:
    content = file_with({name: (8, side) for name, side in names.items() if name != "__metadata__"})
    for base in (BASE, None):
        verdict(VALID_CONFIG, content, engine, base=base)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_and_any_json_are_no_config(config: bytes) -> None:
    assert verdict(config, VALID_WEIGHTS) is not None


@given(CONFIGS, ENGINES)
def test_a_config_with_any_values_is_valid_or_refused(config: bytes, engine: str) -> None:
    verdict(config, VALID_WEIGHTS, engine)


@given(st.integers(0, len(VALID_CONFIG)), st.binary(max_size=4), st.integers(0, 4), ENGINES)
def test_a_config_with_some_bytes_changed_is_valid_or_refused(
    position: int, inserted: bytes, removed: int, engine: str
) -> None:
    verdict(VALID_CONFIG[:position] + inserted + VALID_CONFIG[position + removed :], VALID_WEIGHTS, engine)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=300))
def test_a_base_model_of_any_bytes_is_read_or_refused(config: bytes, weights: bytes) -> None:
    for files in ([], [RecordingFile(weights)]):
        try:
            BaseModelFacts.read("tiny", config, files)
        except InvalidBaseModel as error:
            assert str(error).startswith("base model 'tiny': ")


def full(pattern: bytes, size: int = MAX_CONFIG_BYTES - 500) -> bytes:
    """Return the valid config with one setting as long as the limit allows."""
    return VALID_CONFIG[:-1] + b', "rank_pattern2": ' + pattern + b"}" if len(pattern) <= size else b""


NASTY_CONFIGS = [
    b"[" * 250_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 50_000,
    b"[" + b"[]," * 80_000 + b"[]]",
    b"9" * 4_299,
    b"9" * 250_000,
    b"1e" + b"9" * 200_000,
    b"0." + b"1" * 200_000,
    b'"' + b"\\u0041" * 40_000 + b'"',
]


@pytest.mark.parametrize("pattern", NASTY_CONFIGS, ids=lambda pattern: pattern[:8].decode())
def test_a_config_made_to_take_long_takes_no_time_and_memory(pattern: bytes) -> None:
    config = full(pattern)
    assert config
    check_is_cheap(config, VALID_WEIGHTS, memory=40 * MAX_CONFIG_BYTES)


@pytest.mark.parametrize(
    "key", ["target_modules", "rank_pattern", "alpha_pattern", "base_model_name_or_path", "bias"]
)
@pytest.mark.parametrize(
    "text", ["(a+)+" * 40_000, "(" * 200_000, "a." * 100_000, "x" * 200_000, "(.*.*)*" * 20_000 + "!"]
)
def test_a_long_text_in_a_config_is_never_run_as_a_regular_expression(key: str, text: str) -> None:
    for value in (text, [text], {text: 8}):
        check_is_cheap(
            json.dumps(CONFIG | {key: value}).encode(), VALID_WEIGHTS, memory=40 * MAX_CONFIG_BYTES
        )


def test_as_many_targets_and_layers_as_fit_are_matched_in_no_time() -> None:
    targets = [f"m{number}" for number in range(20_000)]
    layer = {
        f"base_model.model.{'aaaaaaa.' * 22}{number}.m.lora_{side}.weight": (8, 8)
        for number in range(17_000)
        for side in "AB"
    }
    content = file_with(layer)
    assert len(content) - len(layer) * 8 * 8 * 4 > 0.9 * MAX_HEADER_BYTES
    config = json.dumps(CONFIG | {"target_modules": [*targets, "m"]}).encode()
    check_is_cheap(config, content, memory=10 * MAX_HEADER_BYTES)


@pytest.mark.parametrize("unit", [b'"%d":{"dtype":"F32","shape":[],"data_offsets":[%d,%d]}', b'"%d%d%d":{}'])
def test_a_header_as_full_as_it_may_be_is_read_in_bounded_time_and_memory(unit: bytes) -> None:
    entries = [unit % (number, 4 * number, 4 * number + 4) for number in range(99_000)]
    content = safetensors(b"{" + b",".join(entries) + b"}", 4 * 99_000)
    check_is_cheap(VALID_CONFIG, content, memory=10 * MAX_HEADER_BYTES)


def check_is_cheap(config: bytes, content: bytes, memory: int) -> None:
    """Fail if checking this adapter takes long, or more bytes of memory than `memory`."""
    # The collector would look at all that other tests have left in this process, too.
    gc.disable()
    try:
        started = time.process_time()
        verdict(config, content, "lorax", base=None)
        assert time.process_time() - started < SECONDS
    finally:
        gc.enable()
    tracemalloc.start()
    try:
        verdict(config, content)
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
