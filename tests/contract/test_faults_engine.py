"""An engine that crashes, hangs, is slow to start or ignores SIGTERM."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from container.gateway import main as run
from tests.contract.faulty_container import FaultyContainer, container
from tests.contract.faulty_vllm import DEAF, ENDLESS, GENERATES_AFTER, HEALTHY_AFTER
from tests.harness.waiting import wait_until

#: What SageMaker gives a container after SIGTERM.
STOP_SECONDS = 30
#: The same order of things, sooner over.
QUICK = {"container.gateway.main.DRAIN_SECONDS": 0.5, "container.gateway.main.ENGINE_STOP_SECONDS": 0.5}
#: Seconds by which a busy machine may be late.
NOISE_SECONDS = 2.0


def ping(running: FaultyContainer) -> tuple[int, str]:
    answer = running.client.get("/ping")
    return answer.status, "" if answer.status == 200 else answer.error[1]


def test_an_engine_that_is_killed_ends_container_after_its_callers_are_answered(tmp_path: Path) -> None:
    with container(tmp_path, {"MAX_CONCURRENT_REQUESTS": 2}) as running, ThreadPoolExecutor() as callers:
        running.wait_until_ready()
        whole = callers.submit(running.client.generate, ENDLESS)
        streamed = callers.submit(running.client.generate, ENDLESS, path="/generate_stream")
        running.wait_until_running(2)
        queued = callers.submit(running.client.generate)
        wait_until(lambda: running.inside() == 3, "the third waits for an engine slot")
        os.kill(running.engine_pid, signal.SIGKILL)
        assert running.exit_code() == 1
        assert "the engine ended by itself, exit code -9" in running.log
        assert whole.result().error[:2] == (503, "engine_unavailable")
        assert queued.result().error[:2] == (503, "engine_unavailable")
        assert streamed.result().error[:2] == (200, "engine_unavailable"), "the last event of the stream"


def test_a_frozen_engine_is_reported_by_ping_and_to_callers_and_may_recover(tmp_path: Path) -> None:
    limits = {"ENGINE_IDLE_SECONDS": 0.5, "ENGINE_SILENCE_SECONDS": 2, "ANSWER_SECONDS": 1}
    with container(tmp_path, limits) as running:
        running.wait_until_ready()
        heard = time.monotonic()
        assert running.client.generate().status == 200
        os.kill(running.engine_pid, signal.SIGSTOP)
        answer = running.client.generate()
        assert answer.error[:2] == (504, "timeout")
        assert 1 <= answer.seconds < 1 + NOISE_SECONDS
        wait_until(lambda: ping(running) == (503, "engine_unresponsive"), "/ping reports it")
        assert 2 <= time.monotonic() - heard < 2.5 + NOISE_SECONDS
        assert running.client.generate().error[:2] == (503, "engine_unresponsive")
        os.kill(running.engine_pid, signal.SIGCONT)
        wait_until(lambda: ping(running)[0] == 200, "the engine is back")
        assert running.client.generate().status == 200
        running.wait_until_empty()


def test_an_engine_that_is_slow_to_start_is_starting_until_it_generates(tmp_path: Path) -> None:
    times = {HEALTHY_AFTER: 0.5, GENERATES_AFTER: 1.5}
    with container(tmp_path, times) as running:
        assert ping(running) == (503, "starting")
        wait_until(lambda: engine_is_healthy(running), "its own health check is fine")
        assert ping(running) == (503, "starting")
        assert running.client.generate().error[:2] == (503, "starting")
        running.wait_until_ready()
        assert running.client.generate().status == 200


def engine_is_healthy(running: FaultyContainer) -> bool:
    try:
        return running.engine.get("/health").status == 200
    except OSError:
        return False


def test_sigterm_ends_with_an_error_what_can_not_finish(tmp_path: Path) -> None:
    with container(tmp_path, constants=QUICK) as running, ThreadPoolExecutor() as callers:
        running.wait_until_ready()
        whole = callers.submit(running.client.generate, ENDLESS)
        streamed = callers.submit(running.client.generate, ENDLESS, path="/generate_stream")
        running.wait_until_running(2)
        engine = running.engine_pid
        running.process.terminate()
        assert running.exit_code() == 0, running.log
        assert not psutil.pid_exists(engine)
        assert whole.result().error[:2] == (503, "stopping")
        assert len(streamed.result().events) > 1
        assert streamed.result().error[:2] == (200, "stopping")


@pytest.mark.parametrize("how", ["deaf", "frozen"])
def test_an_engine_that_does_not_heed_sigterm_is_killed(tmp_path: Path, how: str) -> None:
    variables = {DEAF: "1"} if how == "deaf" else {}
    with container(tmp_path, variables, constants=QUICK) as running:
        running.wait_until_ready()
        engine = running.engine_pid
        if how == "frozen":
            os.kill(engine, signal.SIGSTOP)
        running.process.terminate()
        assert running.exit_code() == 0, running.log
        assert not psutil.pid_exists(engine)


def test_stopping_takes_less_time_than_sagemaker_gives() -> None:
    longest = run.DRAIN_SECONDS + run.SEND_SECONDS + run.ENGINE_STOP_SECONDS
    assert longest < STOP_SECONDS
