"""Ask with lorax-client in each of its four ways: python lorax_answers.py URL PROMPT [ADAPTER [STOP]]."""

import asyncio
import json
import sys

from lorax import AsyncClient, Client

URL, PROMPT, *REST = sys.argv[1:]
ASKED = {"max_new_tokens": 64}
if REST:
    ASKED["adapter_id"] = REST[0]
if REST[1:]:
    ASKED["stop_sequences"] = REST[1:]


def streamed(events):
    """Return a stream's text, piece by piece, and the details in its last event."""
    last = events[-1]
    return {
        "pieces": [event.token.text for event in events if not event.token.special],
        "text": last.generated_text,
        "reason": last.details.finish_reason,
        "tokens": last.details.generated_tokens,
    }


def whole(response):
    """Return the text and the details of a whole answer."""
    return {
        "text": response.generated_text,
        "reason": response.details.finish_reason,
        "tokens": response.details.generated_tokens,
        "listed": len(response.details.tokens),
    }


def generate():
    return whole(Client(URL).generate(PROMPT, **ASKED))


def generate_stream():
    return streamed(list(Client(URL).generate_stream(PROMPT, **ASKED)))


async def async_generate():
    return whole(await AsyncClient(URL).generate(PROMPT, **ASKED))


async def async_generate_stream():
    return streamed([event async for event in AsyncClient(URL).generate_stream(PROMPT, **ASKED)])


def outcome(way):
    """Return the answer of one way to ask, or the error that it raises."""
    try:
        answer = way()
        return asyncio.run(answer) if asyncio.iscoroutine(answer) else answer
    except Exception as error:
        return {"error": f"{type(error).__module__}.{type(error).__name__}", "message": str(error)}


ways = (generate, generate_stream, async_generate, async_generate_stream)
print(json.dumps({way.__name__: outcome(way) for way in ways}))
