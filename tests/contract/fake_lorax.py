"""A web server that answers as LoRAX 0.12.1 does, after its source: statuses, shapes and error texts."""

import asyncio
import json
from typing import Any

from aiohttp import web

TOKENS = ((37, "C", False), (303, " hi", False), (2, "</s>", True))
DETAILS = {"finish_reason": "eos_token", "prompt_tokens": 3, "generated_tokens": 3, "seed": None}
NO_CONFIG = "No valid adapter config file found: tried None and None"
#: What the last part of the adapter's name makes LoRAX answer: status, error type, text.
FAILURES = {
    "missing": (424, "generation", f"Request failed during generation: Server error: {NO_CONFIG}"),
    "oom": (424, "generation", "Request failed during generation: Server error: CUDA out of memory"),
    "busy": (429, "overloaded", "Model is overloaded"),
    "refused": (422, "validation", "Input validation error: `truncate` must be <= 1024"),
    "incomplete": (500, "incomplete_generation", "Incomplete generation"),
}


def token(token_id: int, text: str, special: bool) -> dict[str, Any]:
    return {"id": token_id, "text": text, "logprob": -0.5, "special": special, "skipped": False}


class FakeLorax:
    """Remembers what it was asked, and how many of its readers hung up."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.finished = 0
        self.abandoned = 0
        self._release = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def release_from_another_thread(self) -> None:
        """Let the slow adapter go on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._release.set)

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.post("/generate", self.generate),
                web.post("/generate_stream", self.stream),
                web.get("/health", self.health),
            ]
        )
        return application

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def generate(self, http: web.Request) -> web.Response:
        asked, failure = await self.read(http)
        if failure:
            status, error_type, text = failure
            return web.json_response({"error": text, "error_type": error_type}, status=status)
        answer: dict[str, Any] = {"generated_text": "C hi"}
        if asked["parameters"].get("details"):
            tokens = [token(*each) for each in TOKENS]
            answer["details"] = DETAILS | {"skipped_tokens": 0, "prefill": [], "tokens": tokens}
        return web.json_response(answer)

    async def stream(self, http: web.Request) -> web.StreamResponse:
        # LoRAX sends 200 before it looks at the request, and a comment while an adapter loads.
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(http)
        await response.write(b":\n\n")
        asked, failure = await self.read(http)
        if failure:
            _, error_type, text = failure
            await self.send(response, {"error": text, "error_type": error_type})
            return response
        for index, each in enumerate(TOKENS):
            last = index == len(TOKENS) - 1
            if last and self.name(asked) == "cut":
                break
            details = DETAILS if last and asked["parameters"].get("details") else None
            event = {"token": token(*each), "generated_text": "C hi" if last else None, "details": details}
            await self.send(response, event)
        return response

    async def read(self, http: web.Request) -> tuple[dict[str, Any], tuple[int, str, str] | None]:
        asked = await http.json()
        self._loop = asyncio.get_running_loop()
        self.asked.append(asked)
        if self.name(asked) == "slow":
            try:
                await asyncio.wait_for(self._release.wait(), 20)
            except asyncio.CancelledError:
                self.abandoned += 1
                raise
        self.finished += 1
        return asked, FAILURES.get(self.name(asked))

    @staticmethod
    def name(asked: dict[str, Any]) -> str:
        return str(asked["parameters"].get("adapter_id", "")).removeprefix("adapters/").partition("/")[0]

    @staticmethod
    async def send(response: web.StreamResponse, event: dict[str, Any]) -> None:
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
