"""Requests of the access log as lines for people and as documents for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from loraserve.logs.logged_request import LoggedRequest
from loraserve.logs.selection import RequestSelection

#: Columns of the result and of the adapter; a line has 80 for most requests.
_RESULT, _ADAPTER = 26, 25


def request_line(request: LoggedRequest, selection: RequestSelection) -> Text:
    """Make the line of a request: time, result, adapter, seconds, and the seconds of its phases."""
    if selection.is_error(request):
        result, style = f"{request.status} {request.error or ''}".rstrip(), "red"
    elif selection.is_slow(request):
        result, style = "slow", "yellow"
    else:
        result, style = str(request.status), ""
    text = Text(f"{request.ended:%m-%d %H:%M:%S} ")
    text.append(f"{result:<{_RESULT}} ", style=style)
    text.append(f"{request.adapter:<{_ADAPTER}} {request.seconds:6.1f} s")
    if request.phases:
        text.append(f"  {request.phases}", style="dim")
    return text


def summary_line(requests: Sequence[LoggedRequest], selection: RequestSelection, since: datetime) -> str:
    """Make the line with the counts."""
    errors = Counter(request.error or str(request.status) for request in failed(requests, selection))
    slow = sum(selection.is_slow(request) and not selection.is_error(request) for request in requests)
    kinds = ", ".join(f"{count} {kind}" for kind, count in errors.most_common())
    of = "all adapters" if selection.adapter is None else selection.adapter
    return (
        f"{of} since {since:%Y-%m-%d %H:%M} UTC: failed {errors.total()}{f' ({kinds})' if kinds else ''}, "
        f"others that took more than {selection.slow_seconds:g} s: {slow}"
    )


def document(
    requests: Sequence[LoggedRequest], shown: Sequence[LoggedRequest], selection: RequestSelection
) -> dict[str, Any]:
    """Make the JSON document: the lines as they were logged, and the counts of all that were selected."""
    errors = Counter(request.error or str(request.status) for request in failed(requests, selection))
    return {
        "adapter": selection.adapter,
        "slow_seconds": selection.slow_seconds,
        "selected": len(requests),
        "errors": dict(errors),
        "requests": [request.line for request in shown],
    }


def failed(requests: Iterable[LoggedRequest], selection: RequestSelection) -> list[LoggedRequest]:
    """Return those that failed."""
    return [request for request in requests if selection.is_error(request)]
