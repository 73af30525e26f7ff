"""The container's first process: how it starts, and the ways in which it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.contract_server import Answer, Client

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HF_MODEL_ID": "tiny-mistral",
        "ADAPTER_BUCKET": "bucket",
        "AWS_REGION": "us-east-1",
        "BIND_HOST": "127.0.0.1",
    } | settings


@dataclass
class Container:
    process: subprocess.Popen[str]
    client: Client
    engine: Client

    def first_answer(self) -> Answer:
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.client.ping()
            except OSError:
                assert self.process.poll() is None, self.output()
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.first_answer().status == 200)

    def output(self) -> str:
        return self.process.communicate(timeout=30)[0]

    def engine_is_gone(self) -> bool:
        try:
            self.engine.request("GET", "/health")
        except OSError:
            return True
        return False


@pytest.fixture
def container() -> Iterator[Container]:
    port, engine_port = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.contract_process", "serve"],
        env=environment(SAGEMAKER_BIND_TO_PORT=str(port), ENGINE_PORT=str(engine_port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    found = Container(process, Client(port), Client(engine_port))
    try:
        yield found
    finally:
        process.kill()
        process.communicate()
        wait_for(found.engine_is_gone)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ping_answers_before_the_engine_does(container: Container) -> None:
    answer = container.first_answer()
    assert (answer.status, answer.json["error_type"]) == (503, "starting")
    container.wait_until_ready()
    assert container.client.invoke().json == [{"generated_text": "C hi"}]


def test_sigterm_lets_answers_finish_and_exits_0(container: Container) -> None:
    container.wait_until_ready()
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(container.client.invoke("slow")))
    caller.start()
    wait_for(lambda: int(container.engine.request("GET", "/running").body) == 1)
    container.process.send_signal(signal.SIGTERM)
    output = container.output()
    caller.join(timeout=30)
    assert [answer.status for answer in answers] == [200]
    assert container.process.returncode == 0, output
    assert container.engine_is_gone()


def test_sigterm_while_starting_exits_0(container: Container) -> None:
    container.first_answer()
    container.process.send_signal(signal.SIGTERM)
    output = container.output()
    assert container.process.returncode == 0, output
    assert container.engine_is_gone()


def test_the_end_of_the_engine_is_the_end_of_the_container(container: Container) -> None:
    container.wait_until_ready()
    with contextlib.suppress(OSError):
        container.engine.request("POST", "/crash", b"")
    output = container.output()
    assert container.process.returncode == 1
    assert "the engine ended by itself, exit code 3" in output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_the_engine_does_not_outlive_a_gateway_that_is_killed(container: Container) -> None:
    container.wait_until_ready()
    assert not container.engine_is_gone()
    container.process.kill()
    wait_for(container.engine_is_gone)


def test_no_prompt_and_no_answer_is_in_the_log(container: Container) -> None:
    container.wait_until_ready()
    container.client.invoke("my secret prompt")
    container.client.invoke("my secret prompt", max_new_tokens=600)
    container.client.invoke("my secret prompt", adapter_id="Not A Name")
    container.process.send_signal(signal.SIGTERM)
    output = container.output()
    assert "the engine is ready" in output
    assert "secret" not in output
    assert "C hi" not in output


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
