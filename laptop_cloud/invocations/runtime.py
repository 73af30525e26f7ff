"""SageMaker Runtime: forwards an invocation to a container, and the container's response to the client."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import Headers, Receive, Send, disconnected, header, read_body, respond
from laptop_cloud.api.service import ServiceError
from laptop_cloud.containers.instance import Instance
from laptop_cloud.invocations.eventstream import payload_part, stream_exception
from laptop_cloud.invocations.headers import (
    TIMEOUT_MESSAGE,
    model_error,
    prefix_aware_id,
    request_headers,
    response_headers,
)
from laptop_cloud.sagemaker.endpoint import Endpoint
from laptop_cloud.sagemaker.metrics import InvocationOutcome
from laptop_cloud.sagemaker.prefix_routing import PrefixRequest
from laptop_cloud.services import ServiceRegistry

#: Seconds for a container's whole response, SageMaker's limits.
ANSWER_LIMIT_S: Final = 60.0
STREAM_LIMIT_S: Final = 480.0
#: Bytes of a request's body, the bound of the API's model.
BODY_LIMIT: Final = 6_291_456

INVOCATION: Final = re.compile(r"/endpoints/(?P<endpoint>[^/]+)/invocations(?P<stream>-response-stream)?")
_SERVING: Final = ("InService", "Updating", "RollingBack", "UpdateRollbackFailed")


#: The errors of a container that does not answer, or stops in the middle of its response.
_CONTAINER_ERRORS: Final = (aiohttp.ClientError, TimeoutError)


@dataclass(frozen=True)
class Invocation:
    """One request of a client."""

    endpoint: str
    account: Account
    headers: Headers


class TimedRequest:
    """One request to one instance: the status of the container's response, and its times."""

    def __init__(self, instance: Instance, arrived: float) -> None:
        """`arrived` is the time of the client's request, by `time.perf_counter`."""
        self.instance = instance
        self.status: int | None = None
        self._arrived = arrived
        self._model_s = 0.0

    @contextlib.asynccontextmanager
    async def response(
        self, posted: aiohttp.client._RequestContextManager
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the container's response. The block's time is the model's; an error in it is status 0."""
        began = time.perf_counter()
        try:
            async with posted as answer:
                self.status = answer.status
                yield answer
        except _CONTAINER_ERRORS:
            self.status = 0
            raise
        finally:
            self._model_s = time.perf_counter() - began

    def outcome(self) -> InvocationOutcome:
        """Return the outcome, once the client has its response."""
        overhead = time.perf_counter() - self._arrived - self._model_s
        return InvocationOutcome(self.status, self._model_s, overhead)


class Runtime:
    """InvokeEndpoint and InvokeEndpointWithResponseStream for every account."""

    def __init__(
        self,
        registry: ServiceRegistry,
        session: aiohttp.ClientSession,
        *,
        answer_limit_s: float = ANSWER_LIMIT_S,
        stream_limit_s: float = STREAM_LIMIT_S,
    ) -> None:
        """`session` has the connections to the containers."""
        self._registry = registry
        self._session = session
        self._answer_limit = aiohttp.ClientTimeout(total=answer_limit_s)
        self._stream_limit = aiohttp.ClientTimeout(total=stream_limit_s)

    async def invoke(self, call: Invocation, receive: Receive, send: Send) -> None:
        """Run InvokeEndpoint: one whole response.

        Raises:
            ServiceError: there is no such endpoint, it has no healthy instance, or its container did not
                answer with a status of 2xx in time.
        """
        arrived = time.perf_counter()
        endpoint = self._endpoint(call)
        body = await read_body(receive, BODY_LIMIT)
        with self._request(call, endpoint, body, arrived) as request:
            instance = request.instance
            try:
                async with request.response(self._post(instance, call, body, self._answer_limit)) as answer:
                    content = await answer.read()
            except _CONTAINER_ERRORS as error:
                raise _model_error(call, instance, 0, _reason(error)) from error
            if not answer.ok:
                raise _model_error(call, instance, answer.status, content.decode(errors="replace"))
            await respond(send, 200, response_headers(answer, instance, stream=False), content)

    async def stream(self, call: Invocation, receive: Receive, send: Send) -> None:
        """Run InvokeEndpointWithResponseStream: forward each chunk of the container's response as it arrives.

        An error before the first chunk is a `ServiceError` as for `invoke`; a later one is an event in the
        stream. The request to the container is cancelled on client disconnect.
        """
        arrived = time.perf_counter()
        endpoint = self._endpoint(call)
        body = await read_body(receive, BODY_LIMIT)
        with self._request(call, endpoint, body, arrived) as request:
            forwarding = asyncio.create_task(self._forward(call, request, body, send))
            gone = asyncio.create_task(disconnected(receive))
            await asyncio.wait((forwarding, gone), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if forwarding.done():
                forwarding.result()
            else:
                forwarding.cancel()
                await asyncio.wait((forwarding,))

    async def _forward(self, call: Invocation, request: TimedRequest, body: bytes, send: Send) -> None:
        started = False
        instance = request.instance
        try:
            async with request.response(self._post(instance, call, body, self._stream_limit)) as answer:
                if not answer.ok:
                    raise _model_error(call, instance, answer.status, await answer.text(errors="replace"))
                headers = response_headers(answer, instance, stream=True)
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                started = True
                async for chunk in answer.content.iter_any():
                    await _send_event(send, payload_part(chunk))
        except _CONTAINER_ERRORS as error:
            if not started:
                raise _model_error(call, instance, 0, _reason(error)) from error
            slow = isinstance(error, TimeoutError)
            code = "ModelInvocationTimeExceeded" if slow else "StreamBroken"
            members = {"Message": _reason(error), "ErrorCode": code}
            await _send_event(send, stream_exception("ModelStreamError", members))
        await send({"type": "http.response.body", "body": b""})

    def _endpoint(self, call: Invocation) -> Endpoint:
        endpoint = self._registry.of(call.account).sagemaker.endpoints.find(call.endpoint)
        if endpoint is None or endpoint.status not in _SERVING:
            raise ServiceError(
                "ValidationError", f"Endpoint {call.endpoint} of account {call.account.id} not found."
            )
        variant = _wanted_variant(call)
        if variant is not None and variant != endpoint.fleet.name:
            raise ServiceError("ValidationError", f"Endpoint {call.endpoint} has no variant {variant}.")
        return endpoint

    @contextlib.contextmanager
    def _request(
        self, call: Invocation, endpoint: Endpoint, body: bytes, arrived: float
    ) -> Iterator[TimedRequest]:
        """Choose an instance for the request; it is not stopped before the end of the block."""
        routed = PrefixRequest(body, prefix_aware_id(call.headers))
        member = endpoint.pick(_wanted_variant(call), routed)
        if member is None:
            raise ServiceError(
                "ServiceUnavailable", f"Endpoint {call.endpoint} has no healthy instance.", 503
            )
        services = self._registry.of(call.account)
        metrics = services.metrics
        request = TimedRequest(member.instance, arrived)
        with member.request(), services.load.request(endpoint.name, endpoint.instances):
            metrics.began(endpoint.name, member)
            try:
                yield request
            finally:
                metrics.ended(endpoint.name, member, request.outcome())

    def _post(
        self, instance: Instance, call: Invocation, body: bytes, limit: aiohttp.ClientTimeout
    ) -> aiohttp.client._RequestContextManager:
        return self._session.post(
            f"{instance.url}/invocations", data=body, headers=request_headers(call.headers), timeout=limit
        )


def _wanted_variant(call: Invocation) -> str | None:
    wanted = header(call.headers, b"x-amzn-sagemaker-target-variant")
    return wanted.decode("latin-1") if wanted else None


async def _send_event(send: Send, event: bytes) -> None:
    await send({"type": "http.response.body", "body": event, "more_body": True})


def _model_error(call: Invocation, instance: Instance, status: int, message: str) -> ServiceError:
    return model_error(call.endpoint, call.account, instance, status, message)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return TIMEOUT_MESSAGE
    return f"the connection to the container broke: {error or type(error).__name__}"
