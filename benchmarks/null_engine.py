"""Null engine: a server with vLLM's API that answers without computing, so that only the gateway takes time.

    python -m benchmarks.null_engine --port 8081 [--event-seconds 0.02]
    python -m benchmarks.null_engine --port 8081 --slots 8 --places 16 --load-seconds 0.05

It uses asyncio protocols on uvloop and is several times as fast as the gateway. The text of a response is the
name of the requested model. The text of a stream's event is the time at which it was written
(`time.monotonic_ns`, the same clock in all processes of a machine), in `STAMP_DIGITS` digits. The events have
the bytes of vLLM 0.32.0's (pydantic's `model_dump_json(exclude_unset=True)`). Requests are not validated.

With `--slots` it takes the time of an engine with that many slots for adapters: see `benchmarks.null_batch`.
`GET /null/batch` then returns the counts of loads and steps since the start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import httptools
import uvloop

from adapters.store.layout import ADAPTERS_PREFIX
from benchmarks.null_batch import NullBatch, NullGeneration

#: Default of the seconds between two events of a stream: a 7B model's tokens on a fast GPU.
EVENT_SECONDS = 0.02
#: Digits of a time in nanoseconds, 300 years: so the times can be read from the text of a whole stream.
STAMP_DIGITS = 19
#: Paths that generate, as vLLM's: the second is for SageMaker.
_COMPLETIONS = (b"/completions", b"/invocations")
#: Module path of vLLM's server, which the container starts.
_VLLM_SERVER = Path("vllm/entrypoints/openai/api_server.py")


class NullEngine(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, batch: NullBatch | None = None, event_seconds: float = EVENT_SECONDS) -> None:
        """Answer at the pace of `batch`; without one at once, with `event_seconds` between a stream's events.

        0 seconds: as fast as the client reads.
        """
        self._batch = batch
        self._generation: NullGeneration | None = None
        self._event_seconds = event_seconds
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the parser."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def connection_lost(self, _: Exception | None) -> None:
        """Abort what is generated for the client, as vLLM does."""
        if self._batch is not None and self._generation is not None:
            self._batch.abort(self._generation)

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
        if not self._url.endswith(_COMPLETIONS):
            counts = {} if self._batch is None else {"loads": self._batch.loads, "steps": self._batch.steps}
            engine = {"release": "0", "dtype": "float32", "device": "none"}
            self._answer(engine | {"count": 1, "tokens": [1], "object": "list", "data": []} | counts)
            return
        asked = json.loads(self._body)
        if asked.get("stream"):
            self._begin_stream(asked)
        elif self._batch is None:
            self._complete(asked)
        else:
            self._generate(asked["model"], asked["max_tokens"], partial(self._end_of_answer, asked))

    def _end_of_answer(self, asked: dict[str, Any], last: bool) -> None:
        if last and not self._transport.is_closing():
            self._complete(asked)

    def _complete(self, asked: dict[str, Any]) -> None:
        choice = _choice(f"[{asked['model']}]", "stop")
        details = _token(choice["text"]) if asked.get("return_token_ids") else {}
        if "prompt_logprobs" in asked:
            details |= {"prompt_logprobs": _prompt_logprobs(asked["model"])}
        tokens = _TOKENS if self._batch is None else asked["max_tokens"]
        self._answer(_completion(asked["model"], choice | details) | _usage(tokens))

    def _generate(self, model: str, tokens: int, on_token: Callable[[bool], None]) -> None:
        """Have the batch generate: it calls `on_token` for each token."""
        assert self._batch is not None
        adapter = model if model.startswith(ADAPTERS_PREFIX) else None
        self._generation = NullGeneration(adapter, tokens, on_token)
        self._batch.add(self._generation)

    def _answer(self, content: dict[str, Any]) -> None:
        body = _dumps(content)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)

    def _begin_stream(self, asked: dict[str, Any]) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        if self._batch is None:
            self._stream = asyncio.get_running_loop().create_task(self._write_stream(asked))
        else:
            self._generate(asked["model"], asked["max_tokens"], partial(self._event, asked))

    async def _write_stream(self, asked: dict[str, Any]) -> None:
        for left in range(asked["max_tokens"], 0, -1):
            self._event(asked, left == 1)
            await asyncio.sleep(self._event_seconds if left > 1 else 0)
            await self._may_write.wait()
            if self._transport.is_closing():
                return

    def _event(self, asked: dict[str, Any], last: bool) -> None:
        if self._transport.is_closing():
            return
        choice = _timed_choice("length" if last else None, asked)
        self._chunk(b"data: " + _dumps(_completion(asked["model"], choice)) + b"\n\n")
        if last:
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%s\r\n" % (len(data), data))


#: Tokens of each prompt, and of each answer without a batch.
_TOKENS = 3


def _usage(tokens: int) -> dict[str, Any]:
    counts = {"prompt_tokens": _TOKENS, "total_tokens": _TOKENS + tokens, "completion_tokens": tokens}
    return {"usage": counts}


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
    """Return log probabilities that differ between any two revisions."""
    seed = zlib.crc32(model.rstrip("/").rpartition("/")[2].encode())
    values = [-(((seed >> shift) & 255) + 1) / 64 for shift in (0, 8, 16, 24)]
    return [None, *({"5": {"logprob": value, "rank": 1, "decoded_token": "x"}} for value in values)]


def _token(text: str) -> dict[str, Any]:
    """Return the details of a text that is one token."""
    logprobs = {"text_offset": [0], "token_logprobs": [-0.1], "tokens": [text], "top_logprobs": [None]}
    return {"logprobs": logprobs, "prompt_token_ids": None, "token_ids": [5]}


def _dumps(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def install_as_vllm(folder: Path, *options: str) -> None:
    """Write a package `vllm` to `folder` whose API server is the null engine, with these options.

    With `folder` first on the Python path, the container's unchanged command starts the null engine.
    """
    server = folder / _VLLM_SERVER
    server.parent.mkdir(parents=True)
    for package in server.relative_to(folder).parents[:-1]:
        (folder / package / "__init__.py").touch()
    server.write_text(
        "import sys\n\nfrom benchmarks.null_engine import main\n\n"
        f"main([*sys.argv[1:], *{list(options)!r}])\n"
    )


async def _serve(port: int, batch: NullBatch | None, event_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(NullEngine, batch, event_seconds), "127.0.0.1", port)
    if batch is not None:
        await batch.run()
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    """Serve until the process is killed; vLLM's other arguments are ignored."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--event-seconds", type=float, default=EVENT_SECONDS, help="between a stream's events"
    )
    parser.add_argument("--slots", type=int, help="slots for adapters; without it no request takes time")
    parser.add_argument("--places", type=int, default=128, help="requests that run at once")
    parser.add_argument("--load-seconds", type=float, default=0.0, help="time of a load into a slot")
    parser.add_argument("--token-seconds", type=float, default=EVENT_SECONDS, help="time of a decode step")
    asked, _ = parser.parse_known_args(arguments)
    batch = None
    if asked.slots is not None:
        batch = NullBatch(
            slots=asked.slots,
            places=asked.places,
            load_seconds=asked.load_seconds,
            token_seconds=asked.token_seconds,
        )
    uvloop.run(_serve(asked.port, batch, asked.event_seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
