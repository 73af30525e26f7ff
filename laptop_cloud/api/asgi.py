"""Minimal ASGI types, and functions to read a request and to send a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from laptop_cloud.api.service import ServiceError

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


async def read_body(receive: Receive, limit: int) -> bytes:
    """Read the whole body of a request. Raises `ServiceError` beyond `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise ServiceError("ValidationError", f"the request's body is larger than {limit} bytes", 413)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def disconnected(receive: Receive) -> None:
    """Return on client disconnect."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a response with its whole body."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def header(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of the first header `name` (lower case), or None."""
    return next((value for key, value in headers if key == name), None)
