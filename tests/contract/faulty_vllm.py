"""A program that simulates a faulty vLLM: slow, with answers that never end, and ignoring SIGTERM.

The environment and the prompts select its faults; everything else is as in `fake_vllm`.
"""

import asyncio
import json
import os
import signal
import sys
import time

from aiohttp import web

from tests.contract.fake_vllm import TOKENS, FakeVllm, choice, completion, is_probe

#: A prompt that is never answered to the end, streamed or not.
ENDLESS = "endless"
#: A chat whose message is this and a number is a stream of as many events, as fast as they are read. Each has
#: its number and then this many bytes more.
FLOOD, FLOOD_BYTES = "flood ", 4096
#: Seconds between two tokens of an endless stream.
TOKEN_SECONDS = 0.2
#: The beginning of the names of adapters that take this many seconds to be loaded.
HEAVY, LOAD_SECONDS = "heavy", 2.0
#: Variables: seconds until the engine is healthy, until it generates, and whether SIGTERM means nothing.
HEALTHY_AFTER, GENERATES_AFTER, DEAF = "ENGINE_HEALTHY_AFTER", "ENGINE_GENERATES_AFTER", "ENGINE_DEAF"


class FaultyVllm(FakeVllm):
    """Fake that counts requests in progress and abandoned ones."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._counts = {"asked": 0, "running": 0, "abandoned": 0, "flooded": 0}

    def application(self) -> web.Application:
        application = super().application()
        application.add_routes([web.get("/counts", self.counts), web.post("/v1/chat/completions", self.chat)])
        # Prompts of any length arrive, as with vLLM.
        application._client_max_size = 0
        return application

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Return a fixed answer, streamed or not; the gateway passes it on unchanged."""
        asked = await http.json()
        answer = {"id": "chatcmpl-1", "created": 1795507429, "model": asked["model"]}
        prompt = asked["messages"][0]["content"]
        if str(prompt).startswith(FLOOD):
            return await self._flood(http, answer, int(prompt.removeprefix(FLOOD)))
        usage = {"prompt_tokens": 3, "total_tokens": 6, "completion_tokens": 3}
        said = {"role": "assistant", "content": "C hi"}
        end = {"index": 0, "finish_reason": "stop"}
        if not asked.get("stream"):
            answer |= {"object": "chat.completion", "choices": [end | {"message": said}], "usage": usage}
            return web.json_response(answer)
        answer |= {"object": "chat.completion.chunk", "choices": [end | {"delta": said}]}
        text = f"data: {json.dumps(answer)}\n\ndata: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    async def tokenize(self, http: web.Request) -> web.Response:
        asked = await http.json()
        count = len(str(asked.get("prompt") or asked.get("messages")).split())
        return web.json_response({"count": count, "max_model_len": 512, "tokens": [1] * count})

    async def counts(self, _: web.Request) -> web.Response:
        return web.json_response(self._counts)

    async def health(self, http: web.Request) -> web.Response:
        return await super().health(http) if self._is_after(HEALTHY_AFTER) else web.Response(status=503)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        asked = await http.json()
        self._counts["asked"] += 1
        if not self._is_after(GENERATES_AFTER):
            return web.json_response({}, status=500)
        if asked["prompt"] == ENDLESS:
            return await self._endlessly(http, asked)
        if is_probe(asked) and asked["model"].startswith(f"adapters/{HEAVY}"):
            await asyncio.sleep(LOAD_SECONDS)
        return await super().complete(http)

    async def _endlessly(self, http: web.Request, asked: dict[str, object]) -> web.StreamResponse:
        self._counts["running"] += 1
        try:
            if not asked.get("stream"):
                await asyncio.Event().wait()
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(http)
            piece = completion(str(asked["model"]), choice(TOKENS[:1], asked, last=False))
            while True:
                await response.write(f"data: {json.dumps(piece)}\n\n".encode())
                await asyncio.sleep(TOKEN_SECONDS)
        except (asyncio.CancelledError, ConnectionError):
            self._counts["abandoned"] += 1
            raise
        finally:
            self._counts["running"] -= 1

    async def _flood(self, http: web.Request, answer: dict[str, object], events: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(http)
        for number in range(events):
            said = {"content": f"{number} {'x' * FLOOD_BYTES}"}
            reason = "stop" if number == events - 1 else None
            choices = [{"index": 0, "delta": said, "finish_reason": reason}]
            piece = answer | {"object": "chat.completion.chunk", "choices": choices}
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
            self._counts["flooded"] += 1
        await response.write(b"data: [DONE]\n\n")
        return response

    def _is_after(self, variable: str) -> bool:
        return time.monotonic() - self._began >= float(os.environ.get(variable, "0"))


async def make_application() -> web.Application:
    return FaultyVllm().application()


if __name__ == "__main__":
    deaf = DEAF in os.environ
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    web.run_app(
        make_application(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        shutdown_timeout=1,
        # A caller who hangs up cancels the work, as with vLLM.
        handler_cancellation=True,
        handle_signals=not deaf,
    )
