"""Requests that SageMaker's prefix-aware routing sends to the instance which has their adapter.

With `RoutingStrategy: PREFIX_AWARE`, requests with the same `PrefixAwareId` and the same first `PrefixLength`
bytes of their bodies go to the same instance. So the adapter's name is the id, and comes first in the body,
with white space up to the prefix's length: equal for every prompt.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

#: The stage's `endpoint.routing` for which these requests are.
ADAPTER_AFFINE: Final = "adapter_affine"
#: `PrefixLength` of a stage's endpoint, in bytes: the least that CreateEndpointConfig takes, because every
#: request carries it. A name of 200 characters with a revision fits.
PREFIX_BYTES: Final = 1024
#: Header of `PrefixAwareId` (botocore's model of sagemaker-runtime).
PREFIX_ID_HEADER: Final = "X-Amzn-SageMaker-Prefix-Aware-Id"
#: What the service takes as an id: 1 to 64 printable characters of ASCII, the first no space.
_ID: Final = re.compile(r"[!-~][ -~]{0,63}")


def prefix_aware_id(adapter: str) -> str:
    """Return the `PrefixAwareId` of an adapter: its name, or the SHA-256 of a longer one."""
    return adapter if _ID.fullmatch(adapter) else hashlib.sha256(adapter.encode()).hexdigest()


def adapter_first(request: Mapping[str, Any]) -> bytes:
    """Return the JSON of a request with its adapter first, padded to `PREFIX_BYTES`.

    `{"model": "otter"       , "messages": …}` in OpenAI's schemas, and in LoRAX's
    `{"parameters": {"adapter_id": "otter"       , …}, "inputs": …}`. Without an adapter it is plain JSON.
    """
    body = dict(request)
    if model := body.pop("model", None):
        return _padded('{"model": ', model) + _members(body) + b"}"
    parameters = dict(body.pop("parameters", None) or {})
    if adapter := parameters.pop("adapter_id", None):
        head = _padded('{"parameters": {"adapter_id": ', adapter)
        return head + _members(parameters) + b"}" + _members(body) + b"}"
    return json.dumps(request, ensure_ascii=False).encode()


def _padded(opening: str, name: str) -> bytes:
    return (opening + json.dumps(name, ensure_ascii=False)).encode().ljust(PREFIX_BYTES)


def _members(values: Mapping[str, Any]) -> bytes:
    """Return members of an object that already has one."""
    return "".join(
        f", {json.dumps(key)}: {json.dumps(values[key], ensure_ascii=False)}" for key in values
    ).encode()
