"""A client of a deployed endpoint, on the laptop or in AWS: boto3 and the LoRAX request schema."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.affinity import adapter_first, prefix_aware_id
from adapters.store.s3 import error_code
from loraserve.errors import UserError
from loraserve.server_sent_events import EventSplitter

#: SageMaker ends a non-streamed answer after 60 s; a client with a shorter time-out wastes a generation.
READ_TIMEOUT_SECONDS = 70


class InvocationError(UserError):
    """A request that the endpoint refused, or at which it failed; the message is the container's."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        """Keep the HTTP status and the error type of the gateway's answer."""
        super().__init__(f"{message} ({status} {error_type})")
        self.status = status
        self.error_type = error_type


@dataclass(frozen=True)
class Generation:
    """One generated answer."""

    text: str
    tokens: int
    """Number of generated tokens, as the engine counted them."""
    seconds: float
    """Time from sending the request to receiving the whole answer."""
    adapter: str | None = None
    """Adapter that answered, as `name@revision`; None for the base model."""


@dataclass(frozen=True)
class AnswerStream:
    """An answer that is being generated."""

    adapter: str | None
    """Adapter that answers, as `name@revision`; None for the base model."""
    tokens: Iterator[dict[str, Any]]
    """Tokens in LoRAX's schema (`text`, `special`), as they arrive; raises `InvocationError`."""


def runtime_config(connections: int = 20) -> Config:
    """Return the settings of a boto3 client of `sagemaker-runtime` that generates text."""
    return Config(
        read_timeout=READ_TIMEOUT_SECONDS,
        # A retry generates a second answer while the first one may still be generated.
        retries={"max_attempts": 0},
        max_pool_connections=connections,
    )


class EndpointClient:
    """A client of one endpoint; safe to share between threads."""

    def __init__(self, endpoint: str, runtime: Any, *, adapter_affine: bool = False) -> None:
        """Set up a client without a request.

        Args:
            endpoint: its name.
            runtime: a boto3 client of `sagemaker-runtime` with the settings of `runtime_config`.
            adapter_affine: the endpoint's routing is `adapter_affine`, so requests are such that those for an
                adapter reach the same instance. Callers may not ask SageMaker for an endpoint's routing.
        """
        self.endpoint = endpoint
        self._runtime = runtime
        self._is_affine = adapter_affine

    def generate(self, prompt: str, *, adapter: str | None = None, **parameters: Any) -> Generation:
        """Generate a whole answer by the base model, or by an adapter; raises `InvocationError`."""
        started = time.perf_counter()
        try:
            response = self._runtime.invoke_endpoint(
                **self._request(prompt, adapter, parameters | {"details": True}, stream=False)
            )
        except ClientError as error:
            raise _invocation_error(error) from error
        answer = json.loads(response["Body"].read())[0]
        return Generation(
            text=answer["generated_text"],
            tokens=answer["details"]["generated_tokens"],
            seconds=time.perf_counter() - started,
            adapter=answering_adapter(response.get("CustomAttributes", "")),
        )

    def stream(self, prompt: str, *, adapter: str | None = None, **parameters: Any) -> Iterator[str]:
        """Yield the answer's text, token by token as it is generated; raises `InvocationError`."""
        for token in self.open_stream(prompt, adapter=adapter, **parameters).tokens:
            if not token["special"]:
                yield token["text"]

    def open_stream(self, prompt: str, *, adapter: str | None = None, **parameters: Any) -> AnswerStream:
        """Begin an answer and name who answers, before its first token; raises `InvocationError`."""
        try:
            response = self._runtime.invoke_endpoint_with_response_stream(
                **self._request(prompt, adapter, parameters, stream=True)
            )
        except ClientError as error:
            raise _invocation_error(error) from error
        return AnswerStream(
            answering_adapter(response.get("CustomAttributes", "")),
            _tokens(part["PayloadPart"]["Bytes"] for part in response["Body"]),
        )

    def _request(
        self, prompt: str, adapter: str | None, parameters: Mapping[str, Any], *, stream: bool
    ) -> dict[str, Any]:
        """Return the parameters of an invocation."""
        chosen = dict(parameters) | ({} if adapter is None else {"adapter_id": adapter})
        body = {"inputs": prompt, "parameters": chosen, "stream": stream}
        call = {"EndpointName": self.endpoint, "ContentType": "application/json"}
        if not self._is_affine or adapter is None:
            return call | {"Body": json.dumps(body).encode()}
        return call | {"Body": adapter_first(body), "PrefixAwareId": prefix_aware_id(adapter)}


def answering_adapter(attributes: str) -> str | None:
    """Return the adapter in the attributes of an answer, `adapter=<name>@<revision>;request=<id>`."""
    return dict(part.partition("=")[::2] for part in attributes.split(";")).get("adapter")


def _tokens(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Parse server-sent events from payload parts; raises `InvocationError` at the container's error."""
    splitter = EventSplitter()
    for event in (json.loads(data) for chunk in chunks for data in splitter.feed(chunk)):
        if "error" in event:
            raise InvocationError(200, event["error_type"], event["error"])
        yield event["token"]


def _invocation_error(error: ClientError) -> InvocationError:
    """Extract the container's answer from SageMaker's ModelError."""
    status = error.response.get("OriginalStatusCode")
    if status is None:
        code = error_code(error)
        http = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return InvocationError(http, code, error.response["Error"]["Message"])
    try:
        answer = json.loads(error.response["OriginalMessage"])
        return InvocationError(status, answer["error_type"], answer["error"])
    except (ValueError, KeyError, TypeError):
        return InvocationError(status, "unknown", str(error.response.get("OriginalMessage")))
