"""Load of the benchmarks on the null engine, in its process."""

import subprocess
import sys
import time
from array import array
from collections.abc import Iterator

import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.http_load import HttpRequest, closed_loop, event_delays, rps, streams
from benchmarks.null_engine import STAMP_DIGITS
from laptop_cloud.ports import free_port
from loraserve.load.result import RequestResult
from stacks.project import ROOT
from tests.unit.loraserve.demo.runs import run_of

PATH = "/v1/completions"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    engine = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.null_engine", "--port", str(number)], cwd=ROOT
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                closed_loop(number, PATH, [HttpRequest({"model": "m", "max_tokens": 1})], 1, 1)
                break
            except BenchmarkFailed:
                assert time.monotonic() < deadline, "the null engine does not answer"
        yield number
    finally:
        engine.kill()
        engine.wait()


def test_answers_are_compared_with_the_expected_text(port: int) -> None:
    asked = [HttpRequest({"model": name, "max_tokens": 1}, f"[{name}]") for name in ("a", "b")]
    found = closed_loop(port, PATH, asked, 20, 4)
    assert [result.text for result in found.results] == ["[a]", "[b]"] * 10
    assert rps(found) > 0
    with pytest.raises(BenchmarkFailed, match=r"request 0: ok, '\[a\]'"):
        closed_loop(port, PATH, [HttpRequest(asked[0].body, "[b]")], 1, 1)


def test_events_carry_the_engines_clock(port: int) -> None:
    found = streams(port, PATH, [HttpRequest({"model": "m", "max_tokens": 3, "stream": True})], 2)
    delays = event_delays(found, 3)
    assert len(delays) == 6
    assert (delays > 0).all()
    with pytest.raises(BenchmarkFailed, match="3 of 4 events"):
        event_delays(found, 4)


def test_a_delay_is_the_time_from_writing_to_arrival() -> None:
    stamps = "".join(f"{round(seconds * 1e9):0{STAMP_DIGITS}d}" for seconds in (1.0, 1.02))
    result = RequestResult(0, 0.0, 0.9, first_token_s=1.001, ended_s=1.1, text=stamps)
    result.token_gaps_s = array("f", [0.023])
    assert event_delays(run_of([result]), 2) == pytest.approx([0.001, 0.004], abs=1e-6)
