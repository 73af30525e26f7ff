"""Answers of any shape, as a proxy or another container may send them."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from loraserve.load.generated_text import GeneratedPart, read_event, read_whole
from loraserve.load.refusal import refusal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["token", "text", "generated_text", "details", "choices", "message", "delta", "content",
                         "usage", "prompt_tokens", "generated_tokens", "error", "error_type", "special",
                         "OriginalMessage", "Message", "__type"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_no_answer_is_an_exception(value: object) -> None:
    sent = json.dumps(value).encode()
    for part in (read_event(sent), read_whole(sent)):
        assert isinstance(part.text, str | None)
        assert isinstance(part.input_tokens, int | None)
        assert isinstance(part.output_tokens, int | None)
    for code in ("", "ModelError", "ValidationError"):
        outcome, message = refusal(400, {"x-amzn-errortype": code} if code else {}, sent)
        assert outcome.value
        assert isinstance(message, str)


@given(st.binary(max_size=20))
def test_no_bytes_are_an_exception(sent: bytes) -> None:
    assert isinstance(read_event(sent), GeneratedPart)
    assert isinstance(read_whole(sent).text, str)
    assert isinstance(refusal(500, {}, sent)[1], str)
