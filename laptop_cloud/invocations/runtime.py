"""SageMaker Runtime: passes an invocation to a container, and its answer back, as the platform does."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp

from laptop_cloud.api.account import Place
from laptop_cloud.api.asgi import Headers, Receive, Send, body_of, disconnected, header, respond
from laptop_cloud.api.service import ServiceError
from laptop_cloud.containers.instance import Instance
from laptop_cloud.invocations.eventstream import payload_part, stream_exception
from laptop_cloud.invocations.headers import TOO_SLOW, model_error, to_client, to_container
from laptop_cloud.invocations.measured import CONTAINER_BROKE, Request
from laptop_cloud.sagemaker.endpoint import Endpoint
from laptop_cloud.services import Places

#: Seconds in which a container must have answered, SageMaker's figures.
ANSWER_LIMIT_S: Final = 60.0
STREAM_LIMIT_S: Final = 480.0
#: Bytes of a request's body, the figure of the API's model.
BODY_LIMIT: Final = 6_291_456

INVOCATION: Final = re.compile(r"/endpoints/(?P<endpoint>[^/]+)/invocations(?P<stream>-response-stream)?")
_SERVING: Final = ("InService", "Updating", "RollingBack", "UpdateRollbackFailed")


@dataclass(frozen=True)
class Invocation:
    """One call, as the client made it."""

    endpoint: str
    place: Place
    headers: Headers


class Runtime:
    """InvokeEndpoint and InvokeEndpointWithResponseStream for every place."""

    def __init__(
        self,
        places: Places,
        session: aiohttp.ClientSession,
        *,
        answer_limit_s: float = ANSWER_LIMIT_S,
        stream_limit_s: float = STREAM_LIMIT_S,
    ) -> None:
        """`session` keeps the connections to the containers."""
        self._places = places
        self._session = session
        self._answer_limit = aiohttp.ClientTimeout(total=answer_limit_s)
        self._stream_limit = aiohttp.ClientTimeout(total=stream_limit_s)

    async def invoke(self, call: Invocation, receive: Receive, send: Send) -> None:
        """InvokeEndpoint: one answer, whole.

        Raises:
            ServiceError: there is no such endpoint, it has no instance to offer, or its container did
                not answer with a status of 2xx in time.
        """
        arrived = time.perf_counter()
        endpoint = self._endpoint(call)
        body = await body_of(receive, BODY_LIMIT)
        with self._request(call, endpoint, arrived) as request:
            instance = request.instance
            try:
                async with request.answered(self._post(instance, call, body, self._answer_limit)) as answer:
                    content = await answer.read()
            except CONTAINER_BROKE as error:
                raise _model_error(call, instance, 0, _what_broke(error)) from error
            if not answer.ok:
                raise _model_error(call, instance, answer.status, content.decode(errors="replace"))
            await respond(send, 200, to_client(answer, instance, stream=False), content)

    async def stream(self, call: Invocation, receive: Receive, send: Send) -> None:
        """InvokeEndpointWithResponseStream: each chunk of the container's answer as it comes.

        What goes wrong before the first chunk is a `ServiceError` as for `invoke`; what goes wrong
        later is an event in the stream. The container's request ends when the client goes away.
        """
        arrived = time.perf_counter()
        endpoint = self._endpoint(call)
        body = await body_of(receive, BODY_LIMIT)
        with self._request(call, endpoint, arrived) as request:
            passing = asyncio.create_task(self._pass_on(call, request, body, send))
            gone = asyncio.create_task(disconnected(receive))
            await asyncio.wait((passing, gone), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if passing.done():
                passing.result()
            else:
                passing.cancel()
                await asyncio.wait((passing,))

    async def _pass_on(self, call: Invocation, request: Request, body: bytes, send: Send) -> None:
        started = False
        instance = request.instance
        try:
            async with request.answered(self._post(instance, call, body, self._stream_limit)) as answer:
                if not answer.ok:
                    raise _model_error(call, instance, answer.status, await answer.text(errors="replace"))
                headers = to_client(answer, instance, stream=True)
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                started = True
                async for chunk in answer.content.iter_any():
                    await _send_event(send, payload_part(chunk))
        except CONTAINER_BROKE as error:
            if not started:
                raise _model_error(call, instance, 0, _what_broke(error)) from error
            slow = isinstance(error, TimeoutError)
            code = "ModelInvocationTimeExceeded" if slow else "StreamBroken"
            members = {"Message": _what_broke(error), "ErrorCode": code}
            await _send_event(send, stream_exception("ModelStreamError", members))
        await send({"type": "http.response.body", "body": b""})

    def _endpoint(self, call: Invocation) -> Endpoint:
        endpoint = self._places.at(call.place).sagemaker.endpoints.find(call.endpoint)
        if endpoint is None or endpoint.status not in _SERVING:
            raise ServiceError(
                "ValidationError", f"Endpoint {call.endpoint} of account {call.place.account} not found."
            )
        variant = _wanted_variant(call)
        if variant is not None and variant not in endpoint.variants():
            raise ServiceError("ValidationError", f"Endpoint {call.endpoint} has no variant {variant}.")
        return endpoint

    @contextlib.contextmanager
    def _request(self, call: Invocation, endpoint: Endpoint, arrived: float) -> Iterator[Request]:
        """Give the call to an instance, which is not stopped before the block has ended."""
        member = endpoint.pick(_wanted_variant(call))
        if member is None:
            raise ServiceError(
                "ServiceUnavailable", f"Endpoint {call.endpoint} has no healthy instance.", 503
            )
        metrics = self._places.at(call.place).metrics
        request = Request(member.instance, arrived)
        with member.request():
            metrics.began(endpoint.name, member)
            try:
                yield request
            finally:
                metrics.ended(endpoint.name, member.instance.variant, request.outcome())

    def _post(
        self, instance: Instance, call: Invocation, body: bytes, limit: aiohttp.ClientTimeout
    ) -> aiohttp.client._RequestContextManager:
        return self._session.post(
            f"{instance.url}/invocations", data=body, headers=to_container(call.headers), timeout=limit
        )


def _wanted_variant(call: Invocation) -> str | None:
    wanted = header(call.headers, b"x-amzn-sagemaker-target-variant")
    return wanted.decode("latin-1") if wanted else None


async def _send_event(send: Send, event: bytes) -> None:
    await send({"type": "http.response.body", "body": event, "more_body": True})


def _model_error(call: Invocation, instance: Instance, status: int, message: str) -> ServiceError:
    return model_error(call.endpoint, call.place, instance, status, message)


def _what_broke(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return TOO_SLOW
    return f"the connection to the container broke: {error or type(error).__name__}"
