from typing import Any

import pytest

from container.gateway.errors import GatewayError
from container.gateway.request_context import Usage
from container.gateway.schemas.lorax import GenerateRequest, Parameters
from container.vllm.tokens import Transcript, finish_reason, tokens_of


def piece(
    text: str,
    *tokens: tuple[int, str],
    finish: str | None = None,
    stop_reason: str | int | None = None,
    prompt: list[int] | None = None,
) -> dict[str, Any]:
    """One choice as vLLM 0.32.0 sends it in a stream."""
    return {
        "text": text,
        "token_ids": [token_id for token_id, _ in tokens],
        "logprobs": {"tokens": [word for _, word in tokens], "token_logprobs": [-0.5] * len(tokens)},
        "finish_reason": finish,
        "stop_reason": stop_reason,
        "prompt_token_ids": prompt,
    }


def events(*pieces: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
    transcript = Transcript(GenerateRequest(inputs="Q: ", parameters=Parameters(**parameters)), Usage())
    return [event for choice in pieces for event in transcript.events(choice)]


def visible_text(found: list[dict[str, Any]]) -> str:
    return "".join(event["token"]["text"] for event in found if not event["token"]["special"])


def test_each_token_is_an_event_and_the_last_one_has_the_text() -> None:
    found = events(piece("A", (1, "A"), prompt=[7, 8]), piece("B", (2, "B"), finish="length"), details=True)
    assert found == [
        {
            "token": {"id": 1, "text": "A", "logprob": -0.5, "special": False, "skipped": False},
            "generated_text": None,
            "details": None,
        },
        {
            "token": {"id": 2, "text": "B", "logprob": -0.5, "special": False, "skipped": False},
            "generated_text": "AB",
            "details": {"finish_reason": "length", "prompt_tokens": 2, "generated_tokens": 2, "seed": None},
        },
    ]


def test_a_piece_with_several_tokens_is_as_many_events() -> None:
    found = events(piece("ABC", (1, "A"), (2, "B"), (3, "C"), finish="length"))
    assert [event["token"]["text"] for event in found] == ["A", "B", "C"]
    assert [event["generated_text"] for event in found] == [None, None, "ABC"]


def test_the_token_that_ends_the_text_is_special_and_not_in_it() -> None:
    found = events(piece("A", (1, "A")), piece("", (2, "</s>"), finish="stop"))
    assert found[-1]["token"]["special"]
    assert found[-1]["generated_text"] == "A"
    assert visible_text(found) == "A"


def test_a_character_of_several_tokens_comes_whole() -> None:
    found = events(piece("", (1, "\ufffd")), piece("é", (2, "\ufffd"), finish="length"))
    assert visible_text(found) == found[-1]["generated_text"] == "é"


def test_text_that_was_held_back_comes_with_the_end() -> None:
    found = events(piece("", (1, "A")), piece("", (2, "B")), piece("AB", (3, "</s>"), finish="stop"))
    assert visible_text(found) == found[-1]["generated_text"] == "AB"
    assert found[-1]["token"]["text"] == "</s>"


def test_an_end_without_a_token_still_is_an_event() -> None:
    found = events(piece("A", (1, "A")), piece("", finish="length"), details=True)
    assert found[-1]["generated_text"] == "A"
    assert found[-1]["details"]["generated_tokens"] == 1


def test_the_prompt_comes_first_if_the_full_text_is_asked_for() -> None:
    assert (
        events(piece("A", (1, "A"), finish="length"), return_full_text=True)[-1]["generated_text"] == "Q: A"
    )


def test_the_seed_is_returned_only_if_it_was_used() -> None:
    last = piece("A", (1, "A"), finish="length")
    assert events(last, details=True, seed=3)[-1]["details"]["seed"] is None
    assert events(last, details=True, seed=3, do_sample=True)[-1]["details"]["seed"] == 3


@pytest.mark.parametrize(
    ("finish", "stop_reason", "word"),
    [
        ("length", None, "length"),
        ("stop", None, "eos_token"),
        ("stop", 5, "eos_token"),
        ("stop", "\n", "stop_sequence"),
    ],
)
def test_the_reason_to_finish_is_in_lorax_words(
    finish: str, stop_reason: str | int | None, word: str
) -> None:
    assert finish_reason(piece("", finish=finish, stop_reason=stop_reason)) == word


def test_generation_that_was_cut_off_is_an_error() -> None:
    with pytest.raises(GatewayError) as caught:
        events(piece("A", (1, "A"), finish="abort"))
    assert caught.value.error_type == "incomplete_generation"


def test_a_stop_sequence_is_no_special_token() -> None:
    assert not tokens_of(piece("END", (1, "END"), finish="stop", stop_reason="END"))[-1]["special"]
