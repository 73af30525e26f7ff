"""A web server that answers as vLLM 0.32.0 does; the shapes were recorded from it.

The adapter that is asked for decides how it behaves. Run as a program it takes a port, and
ends like an engine that crashes when it is asked to by POST /crash.
"""

import asyncio
import json
import os
import sys
import zlib
from typing import Any

from aiohttp import web

BASE_MODEL = "tiny-mistral"
#: The tokens of every answer: id, text. The last one is the end of the text.
TOKENS = ((37, "C"), (303, " hi"), (2, "</s>"))


def completion(model: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "cmpl-97ae90e12a8560c3",
        "object": "text_completion",
        "created": 1795507429,
        "model": model,
        "choices": [{"index": 0} | choice],
    }


def is_probe(asked: dict[str, Any]) -> bool:
    """Return whether a request is a probe, as loads and repeated proofs send, and no caller's."""
    return "prompt_logprobs" in asked


def prompt_logprobs(model: str) -> list[dict[str, Any] | None]:
    """Return what vLLM answers for `prompt_logprobs: 0`: the values depend on the revision."""
    seed = zlib.crc32(model.rstrip("/").rpartition("/")[2].encode())
    values = [-(((seed >> shift) & 255) + 1) / 64 for shift in (0, 8, 16, 24)]
    tokens = [
        {str(token): {"logprob": value, "rank": 1, "decoded_token": "x"}}
        for token, value in enumerate(values)
    ]
    return [None, *tokens]


def choice(tokens: tuple[tuple[int, str], ...], asked: dict[str, Any], *, last: bool) -> dict[str, Any]:
    with_ids = asked.get("return_token_ids")
    logprobs = {
        "text_offset": list(range(len(tokens))),
        "token_logprobs": [-0.5] * len(tokens),
        "tokens": [text for _, text in tokens],
        "top_logprobs": [{text: -0.5} for _, text in tokens],
    }
    return {
        "text": "".join(text for _, text in tokens if text != "</s>"),
        "logprobs": logprobs if asked.get("logprobs") is not None else None,
        "finish_reason": "stop" if last else None,
        "stop_reason": None,
        "prompt_token_ids": [1, 61, 307] if with_ids else None,
        "token_ids": [token_id for token_id, _ in tokens] if with_ids else None,
    }


def error(status: int, message: str, kind: str, param: str | None = None) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": param, "code": status}}
    return web.json_response(body, status=status)


class FakeVllm:
    """Fake that records its requests."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.abandoned = 0
        self.slow_prompts = 0
        self.release = asyncio.Event()

    @property
    def generates(self) -> bool:
        """True once it was asked for a caller's answer."""
        return not all(map(is_probe, self.asked))

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.post("/v1/completions", self.complete),
                web.post("/tokenize", self.tokenize),
                web.get("/health", self.health),
                web.get("/running", self.running),
                web.get("/adapter_store/engine", self.engine),
                web.post("/crash", self.crash),
            ]
        )
        return application

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def engine(self, _: web.Request) -> web.Response:
        return web.json_response({"release": "0.32.0", "dtype": "bfloat16", "device": "NVIDIA A10G"})

    async def running(self, _: web.Request) -> web.Response:
        """Return the number of slow prompts in progress."""
        return web.Response(text=str(self.slow_prompts))

    async def crash(self, _: web.Request) -> web.Response:
        os._exit(3)

    async def tokenize(self, http: web.Request) -> web.Response:
        asked = await http.json()
        messages = " ".join(message["content"] for message in asked.get("messages", ()))
        count = len(asked.get("prompt", messages).split())
        return web.json_response({"count": count, "max_model_len": 512, "tokens": [1] * count})

    async def complete(self, http: web.Request) -> web.StreamResponse:  # noqa: PLR0911 — as many failures
        asked = await http.json()
        self.asked.append(asked)
        name = asked["model"].removeprefix("adapters/").partition("/")[0]
        if name == "missing":
            message = f"The model `{asked['model']}` does not exist. Valid aliases: {BASE_MODEL}."
            return error(404, message, "NotFoundError", "model")
        if name == "broken":
            message = f"LoRA adapter '{asked['model']}' was found but could not be loaded."
            return error(400, message, "BadRequestError")
        if asked["prompt"] == "quoted":
            message = "Invalid value: could not be loaded! It was found but could not be loaded"
            return error(400, message, "BadRequestError")
        if name == "failing":
            return error(500, 'Traceback: File "/opt/secret.py"', "InternalServerError")
        if asked["max_tokens"] > 512:
            return error(400, "max_tokens=600 cannot be greater than max_model_len=512.", "BadRequestError")
        # To be loaded it takes no time.
        if name == "slow" and not is_probe(asked):
            try:
                await asyncio.wait_for(self.release.wait(), 20)
            except asyncio.CancelledError:
                self.abandoned += 1
                raise
        if asked["prompt"] == "slow":
            self.slow_prompts += 1
            await asyncio.sleep(1)
        model = BASE_MODEL if name == "silent-base" else asked["model"]
        if asked.get("stream"):
            return await self.stream(http, model, asked, breaks=name == "breaking")
        usage = {"prompt_tokens": 3, "total_tokens": 6, "completion_tokens": 3}
        answered = choice(TOKENS, asked, last=True)
        if asked.get("prompt_logprobs") is not None:
            answered["prompt_logprobs"] = prompt_logprobs(model)
        return web.json_response(completion(model, answered) | {"usage": usage})

    async def stream(
        self, http: web.Request, model: str, asked: dict[str, Any], *, breaks: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(http)
        for index, token in enumerate(TOKENS):
            piece = choice((token,), asked, last=index == len(TOKENS) - 1)
            if index:
                piece["prompt_token_ids"] = None
            data = json.dumps(completion(model, piece), ensure_ascii=False, separators=(",", ":"))
            await response.write(f"data: {data}\n\n".encode())
            if breaks:
                failure = {
                    "error": {"message": "EngineCore died", "type": "InternalServerError", "code": 500}
                }
                await response.write(f"data: {json.dumps(failure)}\n\n".encode())
                break
        await response.write(b"data: [DONE]\n\n")
        return response


async def make_application() -> web.Application:
    return FakeVllm().application()


if __name__ == "__main__":
    web.run_app(make_application(), host="127.0.0.1", port=int(sys.argv[1]), print=None, shutdown_timeout=1)
