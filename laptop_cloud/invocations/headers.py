"""Headers and errors of an invocation, translated between client and container."""

from __future__ import annotations

from typing import Final

from aiohttp import ClientResponse
from aiohttp.typedefs import LooseHeaders

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import Headers, header
from laptop_cloud.api.service import ServiceError
from laptop_cloud.api.service_model import service_model, violations
from laptop_cloud.containers.instance import Instance

#: The headers of a client that reach the container: SageMaker drops all others.
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
#: The header of PrefixAwareId. It is for the router: the developer guide does not have it among the headers
#: that reach the container.
_PREFIX_AWARE_ID: Final = b"x-amzn-sagemaker-prefix-aware-id"
#: The header of the streaming operation with the container's Accept.
_STREAM_ACCEPT: Final = b"x-amzn-sagemaker-accept"
_RETURNED: Final = (
    "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-New-Session-Id",
    "X-Amzn-SageMaker-Closed-Session-Id",
)

TIMEOUT_MESSAGE: Final = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


def request_headers(headers: Headers) -> LooseHeaders:
    """Return the headers of the request to the container."""
    kept = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in headers if key in _FORWARDED]
    for key, value in headers:
        if key == _STREAM_ACCEPT:
            kept = [pair for pair in kept if pair[0] != "accept"]
            kept.append(("accept", value.decode("latin-1")))
    return kept


def prefix_aware_id(headers: Headers) -> str | None:
    """Return the request's PrefixAwareId; None without one.

    Raises:
        ServiceError: it is not what the service's model takes.
    """
    value = header(headers, _PREFIX_AWARE_ID)
    if value is None:
        return None
    found = value.decode("latin-1")
    shape = service_model("sagemaker-runtime").shape_for("PrefixAwareIdHeader")
    for violation in violations(shape, found, "prefixAwareId"):
        raise ServiceError("ValidationError", violation)
    return found


def response_headers(answer: ClientResponse, instance: Instance, *, stream: bool) -> Headers:
    """Return the headers of the response to the client. A stream's content type has a separate header."""
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


def model_error(
    endpoint: str, account: Account, instance: Instance, status: int, message: str
) -> ServiceError:
    """Return the error for a container's response with another status than 2xx, or (status 0) without one."""
    side = "client" if 400 <= status < 500 else "server"
    text = (
        f'Received {side} error ({status}) from primary with message "{message}". '
        f"See {instance.log} for more information."
    )
    group = account.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{endpoint}")
    return ServiceError(
        "ModelError", text, 424, OriginalStatusCode=status, OriginalMessage=message, LogStreamArn=group
    )
