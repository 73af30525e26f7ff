"""ECR in front of `ministack`'s, whose registry takes every request from everywhere.

Added here: authorization tokens, the IAM permissions of a request to the registry, the registry's refusals,
layers through ECR's API, and the error of DescribeImages for an image that does not exist, which the CDK CLI
asks for before it pushes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import App, Headers, Message, Receive, Send, header, read_body, respond
from laptop_cloud.api.service import JSON_1_1, ServiceError
from laptop_cloud.ministack.callers import Principal, principal
from laptop_cloud.ministack.permissions import denial
from laptop_cloud.registry.actions import RegistryRequest, registry_request
from laptop_cloud.registry.layers import BODY_LIMIT, DOWNLOADS, Layers, check_put_image
from laptop_cloud.registry.tokens import AuthorizationTokens

#: The prefix of ECR's operations in `X-Amz-Target`.
_TARGET: Final = b"AmazonEC2ContainerRegistry_V20150921."
_VERSION: Final = (b"docker-distribution-api-version", b"registry/2.0")


class RegistryEndpoint:
    """ASGI middleware in front of `ministack`."""

    def __init__(self, emulator: App, *, enforce_iam: bool) -> None:
        """`emulator` gets the requests that may pass; with `enforce_iam` those that IAM allows."""
        self._emulator = emulator
        self._enforce_iam = enforce_iam
        self._tokens = AuthorizationTokens()
        self._layers = Layers()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._emulator(scope, receive, send)
            return
        target = header(scope["headers"], b"x-amz-target") or b""
        layers = self._layers.operations.get(target.removeprefix(_TARGET).decode("latin-1"))
        request = registry_request(scope["method"], scope["path"])
        if request is not None:
            await self._registry(request, scope, receive, send)
        elif target == _TARGET + b"GetAuthorizationToken":
            await self._changed(self._with_token, scope, receive, send)
        elif target == _TARGET + b"DescribeImages":
            await self._changed(_with_missing_images, scope, receive, send)
        elif target.startswith(_TARGET) and layers is not None:
            host = (header(scope["headers"], b"host") or b"").decode("latin-1")
            check = check_put_image if target.endswith(b".PutImage") else None
            await self._changed(partial(_with_layers, layers, host), scope, receive, send, check)
        elif scope["path"].startswith(DOWNLOADS):
            await self._download(scope, send)
        else:
            await self._emulator(scope, receive, send)

    async def _registry(self, request: RegistryRequest, scope: Message, receive: Receive, send: Send) -> None:
        caller = self._tokens.caller((header(scope["headers"], b"authorization") or b"").decode("latin-1"))
        if caller is None:
            await respond(send, 401, [_VERSION, _challenge(scope["headers"])], b"Not Authorized\n")
            return
        if request.repository and request.action is None:
            # Images are deleted by ECR's own API.
            await _refuse(send, 405, "UNSUPPORTED", f"ECR has no {scope['method']} of {scope['path']}")
            return
        if request.action is not None and self._enforce_iam:
            arn = caller.account.arn("ecr", f"repository/{request.repository}")
            denied = denial(caller.access_key, request.action, caller.account, arn)
            if denied is not None:
                await _refuse(send, 403, "DENIED", denied)
                return
        await self._emulator(_scoped(scope, caller.account), receive, send)

    async def _download(self, scope: Message, send: Send) -> None:
        requested = header(scope["headers"], b"range")
        found = self._layers.download(
            scope["path"], None if requested is None else requested.decode("latin-1")
        )
        status, content = found or (403, b"Request has expired")
        await respond(send, status, [(b"content-type", b"application/octet-stream")], content)

    async def _changed(
        self, change: _Change, scope: Message, receive: Receive, send: Send, check: _Check | None = None
    ) -> None:
        """Pass an operation of ECR on, unless `check` refuses it, and change a successful response."""
        caller = _caller(scope["headers"])
        try:
            body = await read_body(receive, BODY_LIMIT)
            if check is not None:
                check(caller.account, json.loads(body))
        except ServiceError as error:
            await respond(send, error.status, [(b"content-type", JSON_1_1.encode())], error.body())
            return
        answer = await _answer(self._emulator, scope, body)
        if answer.status == 200:
            try:
                content = change(caller, json.loads(body or b"{}"), json.loads(answer.body))
            except ServiceError as error:
                answer = _Answer(error.status, [(b"content-type", JSON_1_1.encode())], error.body())
            else:
                answer = answer._replace(body=json.dumps(content).encode())
        headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
        await respond(send, answer.status, headers, answer.body)

    def _with_token(self, caller: Principal, _request: Any, content: Any) -> Any:
        [given] = content["authorizationData"]
        return {"authorizationData": [{**given, "authorizationToken": self._tokens.new(caller)}]}


#: Returns the new content from the caller, the request and the content. Raises `ServiceError`.
_Change = Callable[[Principal, Any, Any], Any]
#: Raises `ServiceError` for a request, the second argument, of an account.
_Check = Callable[[Account, Any], None]


class _Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes


async def _answer(app: App, scope: Message, body: bytes) -> _Answer:
    """Return the whole response of `app` to a request with this body."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    [start] = [message for message in messages if message["type"] == "http.response.start"]
    parts = [message.get("body", b"") for message in messages if message["type"] == "http.response.body"]
    return _Answer(start["status"], list(start.get("headers", [])), b"".join(parts))


def _with_layers(
    operation: Callable[[Account, str, Any], Any], host: str, caller: Principal, request: Any, content: Any
) -> Any:
    """Return a response with what `Layers` keeps; `ministack` has checked repository and permissions."""
    return {**content, **operation(caller.account, host, request)}


def _with_missing_images(caller: Principal, request: Any, content: Any) -> Any:
    """Raise ECR's error if one of the requested images does not exist; `ministack` leaves it out."""
    found = content["imageDetails"]
    known = {detail["imageDigest"] for detail in found} | {
        tag for detail in found for tag in detail.get("imageTags", [])
    }
    for wanted in request.get("imageIds") or []:
        digest, tag = wanted.get("imageDigest"), wanted.get("imageTag")
        if not known & {digest, tag}:
            raise ServiceError(
                "ImageNotFoundException",
                f"The image with imageId {{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}} "
                f"does not exist within the repository with name '{request['repositoryName']}' in the "
                f"registry with id '{caller.account.id}'",
            )
    return content


def _caller(headers: Headers) -> Principal:
    """Return the caller of a signed request."""
    return principal((header(headers, b"authorization") or b"").decode("latin-1"))


def _scoped(scope: Message, account: Account) -> Message:
    """Return the request with the registry's own host, which has account and region.

    Without the token: `ministack` does not know it. Without the mount of another repository's layer: ECR
    uploads the layer again, unless the account has turned blob mounting on.
    """
    host = f"{account.id}.dkr.ecr.{account.region}.amazonaws.com".encode()
    kept = [pair for pair in scope["headers"] if pair[0] not in (b"host", b"authorization")]
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    without = [(name, value) for name, value in query if name not in ("mount", "from")]
    return {
        **scope,
        "headers": [(b"host", host), *kept],
        "query_string": urlencode(without).encode("latin-1"),
    }


def _challenge(headers: Headers) -> tuple[bytes, bytes]:
    """Return the header with which ECR asks for a token."""
    host = header(headers, b"host") or b"127.0.0.1"
    return b"www-authenticate", b'Basic realm="http://' + host + b'/",service="ecr.amazonaws.com"'


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    await respond(send, status, [_VERSION, (b"content-type", b"application/json")], body)
