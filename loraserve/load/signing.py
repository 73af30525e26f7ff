"""Requests of SageMaker Runtime in HTTP/1.1, signed by botocore's Signature Version 4."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

from adapters.affinity import PREFIX_ID_HEADER, prefix_aware_id
from loraserve.load.job import Target

#: `signingName` of botocore's model of sagemaker-runtime.
SIGNING_NAME = "sagemaker"
_DEFAULT_PORTS = {"https": 443, "http": 80}


class KeyChain(Protocol):
    """Source of the current keys, such as botocore's `Credentials`, which may expire and be refreshed."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys of this moment."""
        ...


def find_credentials(profile: str | None = None) -> KeyChain:
    """Return the credentials of an AWS CLI profile, or of botocore's usual order.

    Raises:
        BotoCoreError: there are none, or no such profile.
    """
    # The generator's processes need no session, and its import needs 7 MB.
    import boto3  # noqa: PLC0415

    found: KeyChain | None = boto3.Session(profile_name=profile).get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


def endpoint_target(runtime: Any, endpoint: str, *, stream: bool, adapter_affine: bool = False) -> Target:
    """Return the URL of an endpoint's invocations, and whether its routing is `adapter_affine`.

    `runtime` is a boto3 client of `sagemaker-runtime`: its URL is that of its region, partition and settings.
    The path is that of botocore's model, `/endpoints/{EndpointName}/invocations[-response-stream]`.
    """
    operation = "InvokeEndpointWithResponseStream" if stream else "InvokeEndpoint"
    path: str = runtime.meta.service_model.operation_model(operation).http["requestUri"]
    # botocore's serializer quotes a member of the path the same way.
    name = quote(endpoint, safe="-._~")
    url = runtime.meta.endpoint_url.rstrip("/") + path.replace("{EndpointName}", name)
    return Target(url=url, region=runtime.meta.region_name, adapter_affine=adapter_affine)


class RequestWriter:
    """Writes requests to one target, signed if it has a region."""

    def __init__(self, target: Target, keys: ReadOnlyCredentials | None) -> None:
        """`keys` may be None for a target without a region. Set `keys` when they are refreshed."""
        self.keys = keys
        self._target = target
        parts = urlsplit(target.url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host = parts.hostname or ""
        if ":" in self._host:
            self._host = f"[{self._host}]"
        if parts.port not in (None, _DEFAULT_PORTS.get(parts.scheme)):
            self._host += f":{parts.port}"

    def write(self, body: bytes, adapter: str | None = None) -> bytes:
        """Return a request; its signature is valid for five minutes from now.

        `adapter` is the one that `body` asks, None for the base model.
        """
        headers = {"Host": self._host, "Content-Type": "application/json"}
        if self._target.adapter_affine and adapter is not None:
            headers[PREFIX_ID_HEADER] = prefix_aware_id(adapter)
        if self._target.region is not None:
            request = AWSRequest("POST", self._target.url, headers=headers, data=body)
            SigV4Auth(self.keys, SIGNING_NAME, self._target.region).add_auth(request)
            headers = dict(request.headers.items())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {self._path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
