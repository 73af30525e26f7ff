"""Null engine: a server with vLLM's API that answers without computing, so that only the gateway takes time.

    python -m benchmarks.null_engine --port 8081 [--event-seconds 0.02]

It uses asyncio protocols on uvloop and is several times as fast as the gateway. The text of a response is the
name of the requested model. The text of a stream's event is the time at which it was written
(`time.monotonic_ns`, the same clock in all processes of a machine), in `STAMP_DIGITS` digits. The events have
the bytes of vLLM 0.32.0's (pydantic's `model_dump_json(exclude_unset=True)`). Requests are not validated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import zlib
from functools import partial
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

#: Default of the seconds between two events of a stream: a 7B model's tokens on a fast GPU.
EVENT_SECONDS = 0.02
#: Digits of a time in nanoseconds, 300 years: so the times can be read from the text of a whole stream.
STAMP_DIGITS = 19
#: Module path of vLLM's server, which the container starts.
_VLLM_SERVER = Path("vllm/entrypoints/openai/api_server.py")


class NullEngine(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, event_seconds: float = EVENT_SECONDS) -> None:
        """`event_seconds` between two events of a stream; 0 writes them as fast as the client reads."""
        self._event_seconds = event_seconds
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the parser."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def pause_writing(self) -> None:
        """Wait: the client does not read as fast as the events are written."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` methods."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        """Append a part of the path."""
        self._url += url

    def on_body(self, data: bytes) -> None:
        """Append a part of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """Send the response."""
        if not self._url.endswith(b"/completions"):
            self._answer({"count": 1, "tokens": [1], "object": "list", "data": []})
            return
        asked = json.loads(self._body)
        if asked.get("stream"):
            self._stream = asyncio.get_running_loop().create_task(self._write_stream(asked))
        else:
            choice = _choice(f"[{asked['model']}]", "stop")
            details = _token(choice["text"]) if asked.get("return_token_ids") else {}
            if "prompt_logprobs" in asked:
                details |= {"prompt_logprobs": _prompt_logprobs(asked["model"])}
            self._answer(_completion(asked["model"], choice | details) | _USAGE)

    def _answer(self, content: dict[str, Any]) -> None:
        body = _dumps(content)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)

    async def _write_stream(self, asked: dict[str, Any]) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for left in range(asked["max_tokens"], 0, -1):
            choice = _timed_choice("length" if left == 1 else None, asked)
            self._chunk(b"data: " + _dumps(_completion(asked["model"], choice)) + b"\n\n")
            await asyncio.sleep(self._event_seconds if left > 1 else 0)
            await self._may_write.wait()
            if self._transport.is_closing():
                return
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%s\r\n" % (len(data), data))


_USAGE = {"usage": {"prompt_tokens": 3, "total_tokens": 6, "completion_tokens": 3}}


def _completion(model: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "cmpl-0", "object": "text_completion", "created": 1, "model": model, "choices": [choice]}


def _choice(text: str, reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, "stop_reason": None}


def _timed_choice(reason: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a choice whose text is the current time, with what the request asks for of its token."""
    text = f"{time.monotonic_ns():0{STAMP_DIGITS}d}"
    token = _token(text)
    if asked.get("logprobs") is None:
        token["logprobs"] = None
    if not asked.get("return_token_ids"):
        token["token_ids"] = None
    return _choice(text, reason) | token


def _prompt_logprobs(model: str) -> list[Any]:
    """Return log probabilities that differ between any two models."""
    seed = zlib.crc32(model.encode())
    values = [-(((seed >> shift) & 255) + 1) / 64 for shift in (0, 8, 16, 24)]
    return [None, *({"5": {"logprob": value, "rank": 1, "decoded_token": "x"}} for value in values)]


def _token(text: str) -> dict[str, Any]:
    """Return the details of a text that is one token."""
    logprobs = {"text_offset": [0], "token_logprobs": [-0.1], "tokens": [text], "top_logprobs": [None]}
    return {"logprobs": logprobs, "prompt_token_ids": None, "token_ids": [5]}


def _dumps(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def install_as_vllm(folder: Path) -> None:
    """Write a package `vllm` to `folder` whose API server is the null engine.

    With `folder` first on the Python path, the container's unchanged command starts the null engine.
    """
    server = folder / _VLLM_SERVER
    server.parent.mkdir(parents=True)
    for package in server.relative_to(folder).parents[:-1]:
        (folder / package / "__init__.py").touch()
    server.write_text("import sys\n\nfrom benchmarks.null_engine import main\n\nmain(sys.argv[1:])\n")


async def _serve(port: int, event_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(NullEngine, event_seconds), "127.0.0.1", port)
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    """Serve until the process is killed; vLLM's other arguments than `--port` are not used."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--event-seconds", type=float, default=EVENT_SECONDS)
    known, _ = parser.parse_known_args(arguments)
    uvloop.run(_serve(known.port, known.event_seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
