"""Invoking a deployed endpoint, locally or in AWS: boto3 and the LoRAX request schema."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

#: SageMaker ends a non-streamed answer after 60 s; a client that gives up sooner wastes a generation.
READ_TIMEOUT_SECONDS = 70


class InvocationError(Exception):
    """The endpoint refused a request or failed; the message is the container's own."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        """`status` and `error_type` are what the gateway answered."""
        super().__init__(f"{message} ({status} {error_type})")
        self.status = status
        self.error_type = error_type


@dataclass(frozen=True)
class Generation:
    """One answer."""

    text: str
    tokens: int
    """Generated tokens, as the engine counted them."""
    seconds: float
    """From sending the request to having the whole answer."""


def runtime_config(connections: int = 20) -> Config:
    """How a boto3 client of `sagemaker-runtime` must be set up to generate text."""
    return Config(
        read_timeout=READ_TIMEOUT_SECONDS,
        # A retried generation is a second generation that nobody reads.
        retries={"max_attempts": 0},
        max_pool_connections=connections,
    )


class EndpointClient:
    """One endpoint; safe to share between threads."""

    def __init__(self, endpoint: str, runtime: Any) -> None:
        """`runtime` is a boto3 client of `sagemaker-runtime`, set up by `runtime_config`."""
        self.endpoint = endpoint
        self._runtime = runtime

    def generate(self, prompt: str, *, adapter: str | None = None, **parameters: Any) -> Generation:
        """One whole answer from the base model, or from an adapter; raises `InvocationError`."""
        started = time.perf_counter()
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self.endpoint,
                ContentType="application/json",
                Body=_body(prompt, adapter, parameters | {"details": True}, stream=False),
            )
        except ClientError as error:
            raise _invocation_error(error) from error
        answer = json.loads(response["Body"].read())[0]
        return Generation(
            text=answer["generated_text"],
            tokens=answer["details"]["generated_tokens"],
            seconds=time.perf_counter() - started,
        )

    def stream(self, prompt: str, *, adapter: str | None = None, **parameters: Any) -> Iterator[str]:
        """The answer's text, token by token as it is generated; raises `InvocationError`."""
        try:
            response = self._runtime.invoke_endpoint_with_response_stream(
                EndpointName=self.endpoint,
                ContentType="application/json",
                Body=_body(prompt, adapter, parameters, stream=True),
            )
        except ClientError as error:
            raise _invocation_error(error) from error
        for event in _events(part["PayloadPart"]["Bytes"] for part in response["Body"]):
            if "error" in event:
                raise InvocationError(200, event["error_type"], event["error"])
            if not event["token"]["special"]:
                yield event["token"]["text"]


def _body(prompt: str, adapter: str | None, parameters: Mapping[str, Any], *, stream: bool) -> bytes:
    chosen = dict(parameters) | ({} if adapter is None else {"adapter_id": adapter})
    return json.dumps({"inputs": prompt, "parameters": chosen, "stream": stream}).encode()


def _events(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Server-sent events out of payload parts, which may be cut anywhere."""
    buffer = b""
    for chunk in chunks:
        *complete, buffer = (buffer + chunk).split(b"\n\n")
        for event in complete:
            if event.startswith(b"data:"):
                yield json.loads(event.removeprefix(b"data:"))


def _invocation_error(error: ClientError) -> InvocationError:
    """SageMaker hides the container's answer in a ModelError; show it."""
    status = error.response.get("OriginalStatusCode")
    if status is None:
        code = error.response["Error"]["Code"]
        http = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return InvocationError(http, code, error.response["Error"]["Message"])
    try:
        answer = json.loads(error.response["OriginalMessage"])
        return InvocationError(status, answer["error_type"], answer["error"])
    except (ValueError, KeyError, TypeError):
        return InvocationError(status, "unknown", str(error.response.get("OriginalMessage")))
