"""Streams of router/src/server.rs and of axum 0.7.7's `Sse`: 200 before anything is known."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from aiohttp import web

from tests.contract.lorax_double.errors import InferError
from tests.contract.lorax_double.infer import Infer, InferResponse
from tests.contract.lorax_double.log import SERVER, log
from tests.contract.lorax_double.metrics import count
from tests.contract.lorax_double.responses import (
    Json,
    adapter_headers,
    compute_headers,
    encode,
    stream_event,
)
from tests.contract.lorax_double.schema import GenerateRequest

KEEP_ALIVE = b":\n\n"


async def generate_stream(
    http: web.Request,
    infer: Infer,
    request: GenerateRequest,
    *,
    convert: Callable[[Json], Json] = lambda event: event,
    end: bytes | None = None,
) -> web.StreamResponse:
    """`convert` makes a token's event into what is sent; an error's is never converted, and has no `end`."""
    count("lorax_request_count")
    headers = {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        **compute_headers(request),
        **adapter_headers(request, infer.options),
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(http)
    events = _events(infer, request)
    waiting: asyncio.Task[Json] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([waiting], timeout=infer.options.keep_alive_seconds)
            if not done:
                await response.write(KEEP_ALIVE)
                continue
            event = convert(waiting.result())
            waiting = None
            await response.write(b"data: " + encode(event) + b"\n\n")
    except StopAsyncIteration:
        count("lorax_request_success")
        log(SERVER, "Success")
        if end is not None:
            await response.write(b"data: " + end + b"\n\n")
    except InferError as error:
        await response.write(b"data: " + encode(error.body) + b"\n\n")
    finally:
        if waiting is not None and not waiting.done():
            waiting.cancel()
            await asyncio.wait([waiting])
        await events.aclose()
    return response


async def _events(infer: Infer, request: GenerateRequest) -> AsyncGenerator[Json]:
    asked = request.parameters
    if asked.best_of not in (None, 1):
        raise _refused("`best_of` != 1 is not supported when streaming tokens")
    if asked.decoder_input_details:
        raise _refused("`decoder_input_details` == true is not supported when streaming tokens")
    with infer.generate_stream(request) as entry:
        response = InferResponse(entry)
        while response.finish_reason is None:
            response.add(await entry.responses.next())
            yield stream_event(response, request)


def _refused(text: str) -> InferError:
    count("lorax_request_failure", err="validation")
    return InferError.validation(text)
