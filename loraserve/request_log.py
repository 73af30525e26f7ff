"""A line for each request to AWS, for `-v`: service, operation, result and time.

botocore's own log has parameters and headers, session tokens among them; these lines have none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore

_BEGAN = "loraserve.began"


@cache
def log_requests(write: Callable[[str], None]) -> Callable[[], None]:
    """Have `write` called with a line for each request of the boto3 sessions that are made from now on.

    Returns the function that ends it, for sessions that are made later.
    """

    def begin(context: dict[str, Any], **_: object) -> None:
        context[_BEGAN] = time.monotonic()

    def end(event_name: str, context: dict[str, Any], parsed: Any = None, **more: Any) -> None:
        # Both events are `<event>.<service>.<operation>`; that of a request without an answer has no model.
        _, service, operation = event_name.split(".")
        status = (parsed or {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
        result = more.get("exception") or (parsed or {}).get("Error", {}).get("Code") or status
        seconds = time.monotonic() - context[_BEGAN]
        write(f"{service} {operation}: {result}, {seconds:.2f} s")

    def register(session: Any) -> None:
        session.register("before-parameter-build", begin)
        session.register("after-call", end)
        session.register("after-call-error", end)

    botocore.register_initializer(register)
    return lambda: botocore.unregister_initializer(register)
