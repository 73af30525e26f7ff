"""Router of requests: SageMaker and Application Auto Scaling to this package, all others to `ministack`."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, Final

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import App, Headers, Message, Receive, Send, header, read_body, respond
from laptop_cloud.api.service import JSON_1_1, Service, ServiceError
from laptop_cloud.invocations.runtime import INVOCATION, Invocation, Runtime
from laptop_cloud.services import ServiceRegistry, Services

#: Path at which the server returns its process id; `process.answers` requests it.
IDENTITY_PATH: Final = "/_laptop-cloud"

_CONTROL_BODY_LIMIT: Final = 1_048_576


class Router:
    """ASGI middleware in front of `ministack`."""

    def __init__(self, emulator: App, registry: ServiceRegistry, runtime: Runtime) -> None:
        """`emulator` gets every request that is not for the services of `registry` or for `runtime`."""
        self._emulator = emulator
        self._registry = registry
        self._runtime = runtime

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on unchanged."""
        if scope["type"] != "http":
            await self._emulator(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        invocation = INVOCATION.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        target = header(headers, b"x-amz-target")
        if invocation is not None:
            call = Invocation(invocation["endpoint"], _account_of(headers), headers)
            await self._invoke(call, bool(invocation["stream"]), receive, send)
        elif target is not None and (service := self._service(target, headers)) is not None:
            operation = target.decode("latin-1").partition(".")[2]
            await _control(service, operation, receive, send)
        elif scope["path"] == IDENTITY_PATH:
            await respond(send, 200, [], json.dumps({"pid": os.getpid()}).encode())
        else:
            await self._emulator(scope, receive, send)

    def _service(self, target: bytes, headers: Headers) -> Service | None:
        prefix = target.partition(b".")[0]
        if prefix not in (b"SageMaker", b"AnyScaleFrontendService"):
            return None
        services: Services = self._registry.of(_account_of(headers))
        return services.sagemaker if prefix == b"SageMaker" else services.autoscaling

    async def _invoke(self, call: Invocation, stream: bool, receive: Receive, send: Send) -> None:
        answer = self._runtime.stream if stream else self._runtime.invoke
        try:
            await answer(call, receive, send)
        except ServiceError as error:
            await respond(send, error.status, _error_headers(error.code), error.body())


async def _control(service: Service, operation: str, receive: Receive, send: Send) -> None:
    body = await read_body(receive, _CONTROL_BODY_LIMIT)
    status, content = service.handle(operation, body)
    headers: list[Any] = [(b"content-type", JSON_1_1.encode()), _request_id()]
    await respond(send, status, headers, content)


def _account_of(headers: Headers) -> Account:
    return Account.of((header(headers, b"authorization") or b"").decode("latin-1"))


def _error_headers(code: str) -> Headers:
    return [(b"content-type", b"application/json"), (b"x-amzn-errortype", code.encode()), _request_id()]


def _request_id() -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", secrets.token_hex(16).encode()
