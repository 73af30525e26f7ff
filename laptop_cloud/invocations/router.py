"""Router of requests: SageMaker, Application Auto Scaling and Service Quotas to this package, all others to
`ministack`.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, Final

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import App, Headers, Message, Receive, Send, header, read_body, respond
from laptop_cloud.api.service import JSON_1_1, Service, ServiceError
from laptop_cloud.invocations.runtime import INVOCATION, Invocation, Runtime
from laptop_cloud.ministack.callers import principal
from laptop_cloud.services import ServiceRegistry, Services

#: Path at which the server returns its process id; `process.answers` requests it.
IDENTITY_PATH: Final = "/_laptop-cloud"
#: Path at which the server grants a quota, which in AWS its support does; `Cloud.grant_quota` requests it.
QUOTA_PATH: Final = "/_laptop-cloud/quota"
#: Path at which the server sets what CloudFormation reports of rollbacks; `Cloud.hide_rollbacks` requests it.
ROLLBACKS_PATH: Final = "/_laptop-cloud/rollbacks"

_CONTROL_BODY_LIMIT: Final = 1_048_576
#: Members of `Services` by the prefix of their requests' `X-Amz-Target`.
_MEMBERS: Final = {
    b"SageMaker": "sagemaker",
    b"AnyScaleFrontendService": "autoscaling",
    b"ServiceQuotasV20190624": "quotas",
}


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
        elif scope["path"] == QUOTA_PATH and scope["method"] == "POST":
            await self._grant(receive, send)
        elif scope["path"] == ROLLBACKS_PATH and scope["method"] == "POST":
            await self._report_rollbacks(receive, send)
        else:
            await self._emulator(scope, receive, send)

    def _service(self, target: bytes, headers: Headers) -> Service | None:
        prefix = target.partition(b".")[0]
        if prefix not in _MEMBERS:
            return None
        services: Services = self._registry.of(_account_of(headers))
        service: Service = getattr(services, _MEMBERS[prefix])
        return service

    async def _grant(self, receive: Receive, send: Send) -> None:
        given = json.loads(await read_body(receive, _CONTROL_BODY_LIMIT))
        quotas = self._registry.of(Account(given["account"], given["region"])).quotas
        try:
            quotas.grant(given["name"], given["value"])
        except ServiceError as error:
            await respond(send, error.status, [], error.body())
        else:
            await respond(send, 200, [], b"{}")

    async def _report_rollbacks(self, receive: Receive, send: Send) -> None:
        given = json.loads(await read_body(receive, _CONTROL_BODY_LIMIT))
        rollbacks = self._registry.of(Account(given["account"], given["region"])).rollbacks
        rollbacks.hidden, rollbacks.keeps_config = given["hidden"], given["keeps_config"]
        await respond(send, 200, [], b"{}")

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
    return principal((header(headers, b"authorization") or b"").decode("latin-1")).account


def _error_headers(code: str) -> Headers:
    return [(b"content-type", b"application/json"), (b"x-amzn-errortype", code.encode()), _request_id()]


def _request_id() -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", secrets.token_hex(16).encode()
