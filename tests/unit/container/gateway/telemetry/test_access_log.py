"""The line that is logged for each request."""

import asyncio
import json

from container.gateway.request_context import Phase, RequestContext, Usage
from container.gateway.telemetry.access_log import AccessLog


async def test_a_line_has_the_model_and_the_duration() -> None:
    context = RequestContext(
        "/invocations", request_id="abc", adapter="otter", revision="0" * 16, usage=Usage(7, 3)
    )
    for phase in (Phase.REGISTRY, Phase.LOADING, Phase.QUEUE, Phase.ENGINE):
        context.enter(phase)
    context.finish(504, "timeout")
    lines: list[bytes] = []

    AccessLog(lines.append).add(context)
    await asyncio.sleep(0.2)
    (line,) = (json.loads(each) for each in lines)
    assert line["log"] == "access"
    assert (line["request_id"], line["route"]) == ("abc", "/invocations")
    assert (line["adapter"], line["revision"]) == ("otter", "0" * 16)
    assert (line["status"], line["error_type"]) == (504, "timeout")
    assert (line["prompt_tokens"], line["generated_tokens"]) == (7, 3)
    assert all(line[name] >= 0 for name in ("seconds", "load_seconds", "queue_seconds", "engine_seconds"))
    assert line["first_token_seconds"] is None


async def test_lines_are_written_together_and_none_is_lost_at_the_end() -> None:
    written: list[bytes] = []

    log = AccessLog(written.append)
    for _ in range(10):
        context = RequestContext("/")
        context.finish(200)
        log.add(context)
    assert not written
    log.flush()
    assert len(written) == 1
    assert len(written[0].splitlines()) == 10
