"""Puts streams together again."""

import json
from typing import Any


def payload(response: Any) -> bytes:
    """The container's bytes, out of the events of InvokeEndpointWithResponseStream."""
    return b"".join(event["PayloadPart"]["Bytes"] for event in response["Body"])


def data_of(sent: bytes) -> list[str]:
    """What each server-sent event carries; anything else in the stream is a failure."""
    *events, rest = sent.decode().split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events), events
    return [event.removeprefix("data: ") for event in events]


def lorax_events(sent: bytes) -> list[dict[str, Any]]:
    """LoRAX's events: one for each token, the last one with the whole text."""
    return [json.loads(data) for data in data_of(sent)]


def openai_chunks(sent: bytes) -> list[dict[str, Any]]:
    """OpenAI's chunks, without the mark that ends them."""
    *chunks, end = data_of(sent)
    assert end == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]
