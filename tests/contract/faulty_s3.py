"""An S3 with the faults of a store on the network; every object has just been changed."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from aiohttp import web

from tests.contract.contract_server import serving

BUCKET = "bucket"
_LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><KeyCount>{count}</KeyCount>
<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"""
_CONTENT = "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified></Contents>"
_ERROR = "<Error><Code>{code}</Code><Message>{code}</Message></Error>"


class Fault(Enum):
    """The store's reaction to each request."""

    NONE = "none"
    DOWN = "it closes each connection"
    HANGING = "it never answers"
    OVERLOADED = "it answers 503 SlowDown"
    FORBIDDEN = "it answers 403 AccessDenied"
    NO_BUCKET = "it answers 404 NoSuchBucket"
    HTML = "it answers 200 with a page of HTML"
    NO_HEADERS = "it answers 200 and nothing else"
    BAD_HEADERS = "it answers 200 with headers that make no sense"
    TRUNCATED = "it closes the connection in the middle of an answer"
    NOISE = "it does not speak HTTP"


class FaultyS3:
    """`objects` by key, in one bucket."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.fault = Fault.NONE
        self._delay = 0.0

    @contextlib.contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Delay each answer while the block lasts."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @contextlib.contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Apply the fault while the block lasts."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = Fault.NONE

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; yield the URL."""

        async def application() -> web.Application:
            made = web.Application()
            made.router.add_route("*", "/{tail:.*}", self._answer)
            return made

        with serving(application) as port:
            yield f"http://127.0.0.1:{port}"

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        await asyncio.sleep(self._delay)
        match self.fault:
            case Fault.NONE:
                return self._right(http, await http.read())
            case Fault.HANGING:
                await asyncio.sleep(60)
            case Fault.OVERLOADED:
                return web.Response(status=503, text=_ERROR.format(code="SlowDown"))
            case Fault.FORBIDDEN:
                return web.Response(status=403, text=_ERROR.format(code="AccessDenied"))
            case Fault.NO_BUCKET:
                return web.Response(status=404, text=_ERROR.format(code="NoSuchBucket"))
            case Fault.HTML:
                return web.Response(
                    text="<html><body>Log in to the hotel's network", content_type="text/html"
                )
            case _:
                self._raw(http, _RAW[self.fault])
        return web.Response()

    def _right(self, http: web.Request, sent: bytes) -> web.StreamResponse:
        key = http.path.removeprefix(f"/{BUCKET}/")
        if http.method == "PUT":
            self.objects[key] = sent
            return web.Response(headers={"ETag": '"1"'})
        if "list-type" in http.query:
            keys = [key for key in sorted(self.objects) if key.startswith(http.query["prefix"])]
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            contents = "".join(_CONTENT.format(key=key, modified=now) for key in keys)
            text = _LISTING.format(count=len(keys), contents=contents)
            return web.Response(text=text, content_type="application/xml")
        body = self.objects.get(key)
        if body is None:
            return web.Response(status=404, text=_ERROR.format(code="NoSuchKey"))
        if "Range" in http.headers:
            start, stop, _ = http.http_range.indices(len(body))
            headers = {"ETag": '"1"', "Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}
            return web.Response(status=206, body=body[start:stop], headers=headers)
        return web.Response(body=body, headers={"ETag": '"1"'})

    def _raw(self, http: web.Request, answer: bytes) -> None:
        transport: Any = http.transport
        transport.write(answer)
        transport.close()


_RAW = {
    Fault.DOWN: b"",
    Fault.NO_HEADERS: b"HTTP/1.1 200 OK\r\n\r\n",
    Fault.BAD_HEADERS: b"HTTP/1.1 200 OK\r\nContent-Length: many\r\nLast-Modified: never\r\n\r\n",
    Fault.TRUNCATED: b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name": ',
    Fault.NOISE: b"SSH-2.0-OpenSSH_9.6\r\n",
}
