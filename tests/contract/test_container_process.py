"""The container's first process: its start, and each of its ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks.project import ROOT
from tests.harness.container import Container
from tests.harness.http_client import Answer
from tests.harness.waiting import wait_until


def environment(**settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HF_MODEL_ID": "tiny-mistral",
        "ADAPTER_BUCKET": "bucket",
        "AWS_REGION": "us-east-1",
        "BIND_HOST": "127.0.0.1",
        # There is no store to ask.
        "WARM_UP_SECONDS": "0",
    } | settings


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with Container("tests.contract.contract_process", environment(), tmp_path) as started:
        yield started


def first_answer(container: Container) -> Answer:
    """Return the first answer of /ping, whatever it is."""
    answers: list[Answer] = []

    def has_answered() -> bool:
        assert container.process.poll() is None, container.log
        with contextlib.suppress(OSError):
            answers.append(container.client.get("/ping"))
        return bool(answers)

    wait_until(has_answered, "the container listens")
    return answers[0]


def test_ping_answers_before_the_engine_does(container: Container) -> None:
    answer = first_answer(container)
    assert (answer.status, answer.json["error_type"]) == (503, "starting")
    container.wait_until_ready()
    assert container.client.invoke().json == [{"generated_text": "C hi"}]


def test_sigterm_lets_answers_finish_and_exits_0(container: Container) -> None:
    container.wait_until_ready()
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(container.client.invoke("slow")))
    caller.start()
    wait_until(lambda: int(container.engine.get("/running").body) == 1, "the engine generates")
    container.process.send_signal(signal.SIGTERM)
    code = container.exit_code()
    caller.join(timeout=30)
    assert [answer.status for answer in answers] == [200]
    assert code == 0, container.log
    assert not container.engine_listens()


def test_sigterm_while_starting_exits_0(container: Container) -> None:
    first_answer(container)
    container.process.send_signal(signal.SIGTERM)
    assert container.exit_code() == 0, container.log
    assert not container.engine_listens()


def test_the_end_of_the_engine_is_the_end_of_the_container(container: Container) -> None:
    container.wait_until_ready()
    with contextlib.suppress(OSError):
        container.engine.request("POST", "/crash", b"")
    assert container.exit_code() == 1
    assert "the engine ended by itself, exit code 3" in container.log


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a parent's death to its child")
def test_the_engine_does_not_outlive_a_gateway_that_is_killed(container: Container) -> None:
    container.wait_until_ready()
    assert container.engine_listens()
    container.process.kill()
    wait_until(lambda: not container.engine_listens(), "the engine ends")


def test_no_prompt_and_no_answer_is_in_the_log(container: Container) -> None:
    container.wait_until_ready()
    container.client.invoke("my secret prompt")
    container.client.invoke("my secret prompt", max_new_tokens=600)
    container.client.invoke("my secret prompt", adapter_id="Not A Name")
    container.process.send_signal(signal.SIGTERM)
    container.exit_code()
    log = container.log
    assert "the engine is ready" in log
    assert "secret" not in log
    assert "C hi" not in log


@pytest.mark.parametrize("engine", ["container.vllm", "container.lorax"])
@pytest.mark.parametrize("arguments", [[], ["train"], ["serve", "now"]])
def test_anything_but_serve_is_a_usage_error(engine: str, arguments: list[str]) -> None:
    ended = run(engine, *arguments, env=environment())
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: serve")


@pytest.mark.parametrize("engine", ["container.vllm", "container.lorax"])
def test_a_wrong_variable_is_one_line_and_exit_2(engine: str) -> None:
    ended = run(engine, "serve", env=environment(MAX_INPUT_LENGTH="lots"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "MAX_INPUT_LENGTH is 'lots': give a whole number of tokens, 1 or more\n"


def test_a_port_in_use_is_one_line_and_exit_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run(
            "container.vllm", "serve", env=environment(SAGEMAKER_BIND_TO_PORT=str(taken.getsockname()[1]))
        )
    assert ended.returncode == 1
    assert "cannot start" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def run(module: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
