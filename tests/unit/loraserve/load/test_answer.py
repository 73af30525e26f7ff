"""Answers in the shapes of docs/requests.md, cut into pieces at every place."""

import json

import pytest

from laptop_cloud.invocations.eventstream import payload_part, stream_exception
from loraserve.load.answer import Answer
from loraserve.load.result import LoadOutcome, RequestResult

AWS_HEADERS = {
    "content-type": "application/vnd.amazon.eventstream",
    "x-amzn-sagemaker-content-type": "text/event-stream",
    "x-amzn-sagemaker-custom-attributes": "adapter=otter/1@0a1b;request=r-1",
}


def lorax_event(text: str, *, whole: str | None = None, special: bool = False) -> bytes:
    token = {"id": 1, "text": text, "logprob": -0.1, "special": special, "skipped": False}
    details = (
        None if whole is None else {"finish_reason": "length", "prompt_tokens": 7, "generated_tokens": 9}
    )
    return (
        b"data: "
        + json.dumps({"token": token, "generated_text": whole, "details": details}).encode()
        + b"\n\n"
    )


def openai_event(**content: object) -> bytes:
    return b"data: " + json.dumps({"object": "text_completion", **content}).encode() + b"\n\n"


LORAX = [
    lorax_event("An"),
    lorax_event(" ot"),
    lorax_event("ter"),
    lorax_event("</s>", whole="An otter", special=True),
]
OPENAI = [
    openai_event(choices=[{"text": "An"}]),
    openai_event(choices=[{"delta": {"role": "assistant", "content": " otter"}}]),
    openai_event(choices=[{"delta": {}, "finish_reason": "stop"}]),
    openai_event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 9}),
    b"data: [DONE]\n\n",
]


def read(
    pieces: list[bytes], headers: dict[str, str], status: int = 200, *, complete: bool = True
) -> RequestResult:
    """Read an answer whose pieces arrive at the seconds 1, 2, …"""
    ended: list[RequestResult] = []
    answer = Answer(RequestResult(0, 0.0, 0.0), ended.append, keep_text=True)
    answer.head(status, headers)
    for second, piece in enumerate(pieces, 1):
        answer.data(piece, float(second))
    if complete:
        answer.complete(len(pieces) + 1.0)
    else:
        answer.fail(LoadOutcome.CUT, "ended", len(pieces) + 1.0)
    answer.fail(LoadOutcome.TIMEOUT, "a second end is ignored", 99.0)
    assert len(ended) == 1
    return ended[0]


@pytest.mark.parametrize("size", [1, 2, 7, 50, 10_000])
@pytest.mark.parametrize("events", [LORAX, OPENAI], ids=["lorax", "openai"])
def test_a_stream_may_be_cut_anywhere(events: list[bytes], size: int) -> None:
    sent = b"".join(payload_part(event) for event in events)

    result = read([sent[start : start + size] for start in range(0, len(sent), size)], AWS_HEADERS)

    assert result.outcome is LoadOutcome.OK
    assert (result.text, result.answered_by) == ("An otter", "otter/1@0a1b")
    assert (result.input_tokens, result.output_tokens, result.tokens_from_usage) == (7, 9, True)


def test_times_are_those_of_the_events() -> None:
    result = read([payload_part(event) for event in LORAX], AWS_HEADERS)

    assert result.first_token_s == 1.0
    assert list(result.token_gaps_s) == [1.0, 1.0, 1.0]
    assert result.ended_s == 5.0


def test_the_first_token_is_the_first_with_text() -> None:
    events = [lorax_event("", special=True), lorax_event("a"), lorax_event("b", whole="ab")]

    result = read(events, {"content-type": "text/event-stream"})

    assert result.first_token_s == 2.0
    assert list(result.token_gaps_s) == [1.0]


def test_tokens_are_counted_where_the_engine_does_not() -> None:
    without = [event.replace(b'"generated_tokens": 9', b'"x": 9') for event in LORAX]

    result = read(without, {"content-type": "text/event-stream"})

    assert (result.output_tokens, result.tokens_from_usage) == (4, False)


@pytest.mark.parametrize(
    ("body", "text", "tokens"),
    [
        ([{"generated_text": "ab", "details": {"prompt_tokens": 7, "generated_tokens": 2}}], "ab", 2),
        ({"generated_text": "ab", "details": {"prompt_tokens": 7, "generated_tokens": 2}}, "ab", 2),
        ({"choices": [{"text": "ab"}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}, "ab", 2),
        ({"choices": [{"message": {"content": "ab"}}], "usage": {"completion_tokens": 2}}, "ab", 2),
        ([{"generated_text": "ab"}], "ab", 0),
        ({"choices": []}, '{"choices": []}', 0),
    ],
)
def test_whole_answers(body: object, text: str, tokens: int) -> None:
    sent = json.dumps(body).encode()

    result = read([sent[:5], sent[5:]], {"content-type": "application/json"})

    assert (result.outcome, result.text, result.output_tokens) == (LoadOutcome.OK, text, tokens)
    assert result.first_token_s is None


@pytest.mark.parametrize("body", [b"not JSON", b"\xff\xfe"])
def test_another_answer_is_kept_as_it_is(body: bytes) -> None:
    assert read([body], {}).text == body.decode(errors="replace")


def test_a_stream_without_its_last_event_is_cut() -> None:
    parts = [payload_part(event) for event in LORAX[:-1]]

    assert read(parts, AWS_HEADERS).outcome is LoadOutcome.CUT
    cut = read(parts, AWS_HEADERS, complete=False)
    assert (cut.outcome, cut.message, cut.text, cut.output_tokens) == (LoadOutcome.CUT, "ended", None, 3)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (stream_exception("ModelStreamError", {"Message": "m", "ErrorCode": "StreamBroken"}), "ModelStreamError StreamBroken: m"),
        (stream_exception("InternalStreamFailure", {"Message": "m"}), "InternalStreamFailure: m"),
        (payload_part(b'data: {"error": "no memory", "error_type": "out_of_memory"}\n\n'), "out_of_memory: no memory"),
        (payload_part(b'data: {"error": {"message": "no memory"}}\n\n'), "no memory"),
        (payload_part(b"x")[:-1] + b"\0", "the event stream is damaged"),
    ],
    ids=["model", "internal", "lorax", "openai", "damaged"],
)  # fmt: skip
def test_an_error_in_the_stream_is_a_failure(piece: bytes, message: str) -> None:
    result = read([payload_part(LORAX[0]), piece, payload_part(LORAX[1])], AWS_HEADERS)

    assert result.outcome is LoadOutcome.STREAM_ERROR
    assert str(result.message).startswith(message)
    assert result.ended_s == 2.0
