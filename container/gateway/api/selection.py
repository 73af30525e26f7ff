"""Choices of an adapter beside a request's body: headers, SageMaker's custom attributes, and the URL's query.

SageMaker passes on only the headers of InvokeEndpoint ("strips all POST headers except those supported by the
API", https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html), of which
`TargetModel`, `InferenceComponentName` and `CustomAttributes` may choose. Other headers, and queries, are of
clients that reach the container itself.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from container.gateway.schemas.adapter_names import check_beside_body, pairs_of
from container.gateway.schemas.openai import Request

#: The header of `CustomAttributes`; SageMaker returns the container's to the client.
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
#: The beginning of headers that only a browser itself can set, such as `Sec-CH-UA-Model`, a phone's model:
#: https://fetch.spec.whatwg.org/#forbidden-request-header.
_OF_A_BROWSER = "sec-"


def check_selection(http: web.Request, request: Request, *, base_model: str) -> None:
    """Raise `GatewayError` 422 if anything beside the body chooses another adapter than the body.

    No header chooses an adapter here, so the base model, or the body's adapter, would answer for it.
    """
    check = partial(
        check_beside_body, field=request.adapter_field, asked=request.adapter, base_model=base_model
    )
    check("header", (pair for pair in http.headers.items() if not pair[0].lower().startswith(_OF_A_BROWSER)))
    for attributes in http.headers.getall(CUSTOM_ATTRIBUTES, ()):
        check("custom attribute", pairs_of(attributes))
    if http.query_string:
        check("query parameter", http.query.items())
