import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import InvalidAdapter
from adapters.validation import LORAX_UNSUPPORTED, check_adapter, header_length, tensor_shapes

CONFIG = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "base_model_name_or_path": "tiny-mistral",
    "target_modules": ["v_proj", "q_proj"],
}
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
SHAPES = {f"{LAYER}.lora_A.weight": (8, 256), f"{LAYER}.lora_B.weight": (256, 8)}


def check(config: dict[str, Any] | None = None, shapes: Any = None, engine: str = "vllm") -> Any:
    return check_adapter(
        "otter",
        CONFIG | (config or {}),
        SHAPES if shapes is None else shapes,
        engine=engine,
        max_rank=16,
        base_model="tiny-mistral",
    )


def header_of(entries: Any) -> bytes:
    return json.dumps(entries).encode()


def test_a_lora_adapter_of_the_stages_base_model_is_valid() -> None:
    facts = check()
    assert (facts.rank, facts.alpha, facts.target_modules) == (8, 16.0, ("q_proj", "v_proj"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "only LORA"),
        ({"r": "8"}, "rank r is '8'"),
        ({"r": True}, "rank r is True"),
        ({"r": 0}, "rank r is 0"),
        ({"r": 32}, "rank 32 is above this stage's 16"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"base_model_name_or_path": "other"}, "trained on 'other', this stage serves 'tiny-mistral'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_its_reason(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(config)


@pytest.mark.parametrize("setting", LORAX_UNSUPPORTED)
def test_what_lorax_would_silently_ignore_is_refused_for_lorax_only(setting: str) -> None:
    value: Any = {"q_proj": 4} if setting.endswith("pattern") else True
    check({setting: value}, engine="vllm")
    with pytest.raises(InvalidAdapter, match=setting):
        check({setting: value}, engine="lorax")


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "missing"),
        ({f"{LAYER}.lora_A.weight": (8, 256)}, "lora_A or lora_B is missing"),
        ({**SHAPES, "model.embed_tokens.weight": (10, 10)}, "unexpected tensor"),
        ({f"{LAYER}.lora_A.weight": (4, 256), f"{LAYER}.lora_B.weight": (256, 8)}, "does not fit rank 8"),
        ({f"{LAYER}.lora_A.weight": (8,), f"{LAYER}.lora_B.weight": (256, 8)}, "does not fit rank 8"),
    ],
)
def test_tensors_that_do_not_fit_the_config_are_refused(shapes: Any, message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(shapes=shapes)


def test_a_header_gives_the_shapes_and_must_account_for_the_whole_file() -> None:
    header = header_of({"t": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "__metadata__": {}})
    assert tensor_shapes("otter", header, 8 + len(header) + 16) == {"t": (2, 2)}
    with pytest.raises(InvalidAdapter, match="cut off or damaged"):
        tensor_shapes("otter", header, 8 + len(header) + 15)


@given(first=st.binary(max_size=16), size=st.integers(0, 2**40))
def test_a_length_that_cannot_be_true_is_refused_before_anything_is_read(first: bytes, size: int) -> None:
    try:
        length = header_length("otter", first, size)
    except InvalidAdapter:
        return
    assert 2 <= length <= size - 8


@given(st.one_of(st.binary(max_size=200), st.builds(header_of, st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
))))  # fmt: skip
def test_no_header_whatever_raises_anything_but_invalid_adapter(header: bytes) -> None:
    with contextlib.suppress(InvalidAdapter):
        tensor_shapes("otter", header, len(header) + 8)
