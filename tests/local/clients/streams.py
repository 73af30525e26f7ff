"""Parsers of response streams."""

import json
from typing import Any


def payload(response: Any) -> bytes:
    """Join the container's bytes in the events of InvokeEndpointWithResponseStream."""
    return b"".join(event["PayloadPart"]["Bytes"] for event in response["Body"])


def data_of(sent: bytes) -> list[str]:
    """Return the data of each server-sent event; assert that the stream has nothing else."""
    *events, rest = sent.decode().split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events), events
    return [event.removeprefix("data: ") for event in events]


def lorax_events(sent: bytes) -> list[dict[str, Any]]:
    """Return LoRAX's events: one for each token, the last one with the whole text."""
    return [json.loads(data) for data in data_of(sent)]


def openai_chunks(sent: bytes) -> list[dict[str, Any]]:
    """Return OpenAI's chunks without the end mark."""
    *chunks, end = data_of(sent)
    assert end == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]
