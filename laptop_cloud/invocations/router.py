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
from laptop_cloud.invocations.permissions import check_allowed
from laptop_cloud.invocations.runtime import INVOCATION, Invocation, Runtime
from laptop_cloud.ministack.callers import Principal, principal
from laptop_cloud.services import ServiceRegistry

#: Path at which the server returns its process id; `process.answers` requests it.
IDENTITY_PATH: Final = "/_laptop-cloud"
#: Path at which the server grants a quota, which in AWS its support does; `Cloud.grant_quota` requests it.
QUOTA_PATH: Final = "/_laptop-cloud/quota"
#: Path at which the server sets what CloudFormation reports of rollbacks; `Cloud.hide_rollbacks` requests it.
ROLLBACKS_PATH: Final = "/_laptop-cloud/rollbacks"

_CONTROL_BODY_LIMIT: Final = 1_048_576
#: By the prefix of `X-Amz-Target`: the member of `Services`, and the prefix of IAM's actions.
_MEMBERS: Final = {
    b"SageMaker": ("sagemaker", "sagemaker"),
    b"AnyScaleFrontendService": ("autoscaling", "application-autoscaling"),
    b"ServiceQuotasV20190624": ("quotas", "servicequotas"),
}


class Router:
    """ASGI middleware in front of `ministack`."""

    def __init__(
        self, emulator: App, registry: ServiceRegistry, runtime: Runtime, *, enforce_iam: bool
    ) -> None:
        """`emulator` gets every request that is not for the services of `registry` or for `runtime`.

        With `enforce_iam`, requests to those are refused unless the caller's policies allow them.
        """
        self._emulator = emulator
        self._registry = registry
        self._runtime = runtime
        self._enforce_iam = enforce_iam

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on unchanged."""
        if scope["type"] != "http":
            await self._emulator(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        invocation = INVOCATION.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        target = header(headers, b"x-amz-target")
        if invocation is not None:
            call = Invocation(invocation["endpoint"], _caller(headers).account, headers)
            await self._invoke(call, bool(invocation["stream"]), receive, send)
        elif target is not None and target.partition(b".")[0] in _MEMBERS:
            await self._control(target, headers, receive, send)
        elif scope["path"] == IDENTITY_PATH:
            await respond(send, 200, [], json.dumps({"pid": os.getpid()}).encode())
        elif scope["path"] == QUOTA_PATH and scope["method"] == "POST":
            await self._grant(receive, send)
        elif scope["path"] == ROLLBACKS_PATH and scope["method"] == "POST":
            await self._report_rollbacks(receive, send)
        else:
            await self._emulator(scope, receive, send)

    async def _control(self, target: bytes, headers: Headers, receive: Receive, send: Send) -> None:
        prefix, _, name = target.partition(b".")
        operation, (member, service) = name.decode("latin-1"), _MEMBERS[prefix]
        caller = _caller(headers)
        found: Service = getattr(self._registry.of(caller.account), member)
        try:
            body = await read_body(receive, _CONTROL_BODY_LIMIT)
            if self._enforce_iam:
                check_allowed(caller, service, operation, _members(body))
        except ServiceError as error:
            status, content = error.status, error.body()
        else:
            status, content = found.handle(operation, body)
        answered: list[Any] = [(b"content-type", JSON_1_1.encode()), _request_id()]
        await respond(send, status, answered, content)

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
        operation = "InvokeEndpointWithResponseStream" if stream else "InvokeEndpoint"
        try:
            if self._enforce_iam:
                check_allowed(_caller(call.headers), "sagemaker", operation, {"EndpointName": call.endpoint})
            await answer(call, receive, send)
        except ServiceError as error:
            await respond(send, error.status, _error_headers(error.code), error.body())


def _members(body: bytes) -> dict[str, Any]:
    """Return the parameters of a request; empty for a body that the service will refuse."""
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _caller(headers: Headers) -> Principal:
    return principal((header(headers, b"authorization") or b"").decode("latin-1"))


def _error_headers(code: str) -> Headers:
    return [(b"content-type", b"application/json"), (b"x-amzn-errortype", code.encode()), _request_id()]


def _request_id() -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", secrets.token_hex(16).encode()
