"""The rule for the text of a secret with a Hub token."""

import pytest

from ingest.hub_token import plain_token


@pytest.mark.parametrize("text", ["hf_abc", "hf_abc\n", "  hf_abc\r\n"])
def test_whitespace_around_a_token_is_dropped(text: str) -> None:
    assert plain_token(text) == "hf_abc"


@pytest.mark.parametrize(
    "text", ["", " \n", '{"token": "hf_abc"}', '"hf_abc"', "HF_TOKEN hf_abc", "'hf_abc'"]
)
def test_what_is_no_plain_token_is_none(text: str) -> None:
    assert plain_token(text) is None
