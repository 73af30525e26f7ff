"""What an invocation's headers and errors become on their way between a client and a container."""

from __future__ import annotations

from typing import Final

from aiohttp import ClientResponse
from aiohttp.typedefs import LooseHeaders

from laptop_cloud.api.account import Place
from laptop_cloud.api.asgi import Headers
from laptop_cloud.api.service import ServiceError
from laptop_cloud.containers.instance import Instance

#: What a client may send on to the container: SageMaker drops everything else.
_FORWARDED: Final = frozenset(
    {
        b"content-type",
        b"accept",
        b"x-amzn-sagemaker-custom-attributes",
        b"x-amzn-sagemaker-target-model",
        b"x-amzn-sagemaker-target-variant",
        b"x-amzn-sagemaker-target-container-hostname",
        b"x-amzn-sagemaker-inference-id",
        b"x-amzn-sagemaker-inference-component",
        b"x-amzn-sagemaker-session-id",
    }
)
#: Where the streaming call carries the Accept that the container is to see.
_STREAM_ACCEPT: Final = b"x-amzn-sagemaker-accept"
_RETURNED: Final = (
    "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-New-Session-Id",
    "X-Amzn-SageMaker-Closed-Session-Id",
)

TOO_SLOW: Final = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


def to_container(headers: Headers) -> LooseHeaders:
    """The headers that reach the container."""
    kept = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in headers if key in _FORWARDED]
    for key, value in headers:
        if key == _STREAM_ACCEPT:
            kept = [pair for pair in kept if pair[0] != "accept"]
            kept.append(("accept", value.decode("latin-1")))
    return kept


def to_client(answer: ClientResponse, instance: Instance, *, stream: bool) -> Headers:
    """The headers that reach the client; a stream's own content type goes in a header of its own."""
    kind = answer.headers.get("Content-Type", "application/octet-stream").encode("latin-1")
    headers = [(b"x-amzn-invoked-production-variant", instance.variant.encode())]
    if stream:
        headers.append((b"content-type", b"application/vnd.amazon.eventstream"))
        headers.append((b"x-amzn-sagemaker-content-type", kind))
    else:
        headers.append((b"content-type", kind))
    for name in _RETURNED:
        if name in answer.headers:
            headers.append((name.lower().encode(), answer.headers[name].encode("latin-1")))
    return headers


def model_error(endpoint: str, place: Place, instance: Instance, status: int, message: str) -> ServiceError:
    """The error for a container that answered with another status than 2xx, or (status 0) did not answer."""
    side = "client" if 400 <= status < 500 else "server"
    text = (
        f'Received {side} error ({status}) from primary with message "{message}". '
        f"See {instance.log} for more information."
    )
    group = place.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{endpoint}")
    return ServiceError(
        "ModelError", text, 424, OriginalStatusCode=status, OriginalMessage=message, LogStreamArn=group
    )
