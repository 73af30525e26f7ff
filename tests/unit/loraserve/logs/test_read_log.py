"""Failed and slow requests of the access log."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from container.gateway.request_context import RequestContext
from container.gateway.telemetry.access_log import access_line
from loraserve.errors import NotDeployed
from loraserve.logs.logged_request import LoggedRequest, logged_request
from loraserve.logs.read_log import follow_log, read_log
from loraserve.logs.request_table import document, request_line, summary_line
from loraserve.logs.selection import RequestSelection
from loraserve.stage_access import StageAccess
from stacks.config.stage_target import StageTarget
from tests.unit.loraserve.stubbed_cloud import Cloud

TARGET = StageTarget(name="dev", account=None, region="us-east-1")
SINCE = datetime(2026, 11, 28, tzinfo=UTC)
OTTER = RequestSelection(adapter="otter", slow_seconds=10)


def line(
    adapter: str | None = "otter", *, status: int = 200, error: str | None = None, seconds: float = 1
) -> str:
    """A line that the gateway wrote."""
    context = RequestContext(route="invocations", adapter=adapter, revision="0123456789abcdef")
    context.finish(status, error)
    return json.dumps(access_line(context) | {"seconds": seconds})


WELL, SLOW, FAILED = line(), line(seconds=12.5), line(status=504, error="timeout", seconds=60)
OTHER = line("heron", status=500, error="internal")
LINES = [WELL, SLOW, '{"_aws": {}, "Endpoint": "e"}', "INFO the engine is ready", "[1]", OTHER, FAILED]


def answered(cloud: Cloud, lines: list[str]) -> None:
    events: list[dict[str, Any]] = [{"message": each, "timestamp": 1} for each in lines]
    cloud.answers("logs", "filter_log_events", {"events": events})


def test_errors_and_slow_requests_of_the_adapter_are_found_among_all_lines() -> None:
    cloud = Cloud()
    answered(cloud, LINES)  # as the laptop cloud does, which sends every line
    with cloud.stubbed():
        found = list(read_log(StageAccess(TARGET, cloud), OTTER, SINCE))
    assert [request.line for request in found] == [json.loads(SLOW), json.loads(FAILED)]


def test_cloudwatch_gets_the_same_rule_as_a_pattern() -> None:
    assert (
        OTTER.pattern == '{ $.log = "access" && $.adapter = "otter" && ($.status >= 400 || $.seconds > 10) }'
    )
    assert RequestSelection(adapter=None, slow_seconds=0.5, every=True).pattern == '{ $.log = "access" }'


def test_every_request_of_every_adapter_can_be_asked_for() -> None:
    selection = RequestSelection(adapter=None, slow_seconds=10, every=True)
    requests = [found for each in LINES if (found := logged_request(each)) is not None]
    assert [selection.includes(request) for request in requests] == [True] * 4


def test_an_endpoint_without_a_log_is_reported_with_its_group() -> None:
    cloud = Cloud()
    cloud.refuses("logs", "filter_log_events", "ResourceNotFoundException")
    with (
        cloud.stubbed(),
        pytest.raises(NotDeployed, match="/aws/sagemaker/Endpoints/LoraServing-Dev-Serving"),
    ):
        list(read_log(StageAccess(TARGET, cloud), OTTER, SINCE))


def test_following_yields_a_request_once_although_each_look_overlaps_the_last() -> None:
    class Enough(Exception):
        pass

    def looks() -> Iterator[None]:
        yield None
        raise Enough

    # Of this time: CloudWatch Logs would not send older ones again.
    failed, slow = line(status=504, error="timeout", seconds=60), line(seconds=12.5)
    cloud, look = Cloud(), looks()
    answered(cloud, [failed])
    answered(cloud, [failed, slow])
    found: list[LoggedRequest] = []
    with cloud.stubbed(), pytest.raises(Enough):
        for request in follow_log(
            StageAccess(TARGET, cloud), OTTER, datetime.now(UTC) - timedelta(hours=1), lambda _: next(look)
        ):
            found.append(request)
    assert [request.line for request in found] == [json.loads(failed), json.loads(slow)]


def shown(text: str) -> str:
    request = logged_request(text)
    assert request is not None
    return request_line(request, OTTER).plain


def test_a_line_has_the_result_the_adapter_and_the_seconds() -> None:
    assert " 504 timeout                otter@0123456789abcdef      60.0 s" in shown(FAILED)
    assert " slow                       otter@0123456789abcdef      12.5 s" in shown(SLOW)


def test_a_line_says_which_phase_took_the_time() -> None:
    content = json.loads(FAILED) | {"load_seconds": 0.04, "queue_seconds": 55.0, "engine_seconds": None}
    assert shown(json.dumps(content)).endswith("load 0.0, queue 55.0")


def test_the_counts_are_of_all_and_the_document_has_the_lines_as_logged() -> None:
    requests = [found for each in (SLOW, FAILED) if (found := logged_request(each)) is not None]
    assert summary_line(requests, OTTER, SINCE) == (
        "otter since 2026-11-28 00:00 UTC: failed 1 (1 timeout), others that took more than 10 s: 1"
    )
    found = document(requests, requests[-1:], OTTER)
    assert (found["selected"], found["errors"], found["requests"]) == (
        2,
        {"timeout": 1},
        [json.loads(FAILED)],
    )
