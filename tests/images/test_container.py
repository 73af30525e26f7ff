"""The container's contract in the built image, as process 1: start, answers, files, signals, and every end."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from laptop_cloud.cloud import LaptopCloud
from samples.problems import SEED_PROBLEM, check
from tests.harness.bucket import Bucket
from tests.harness.http_client import Answer
from tests.harness.waiting import wait_until
from tests.images.container import ENGINES, BuiltImage, ImageContainer

#: Slows the answers of LoRAX's double; for vLLM two words of the prompt.
SLOW = "[[slow]] "

engines = pytest.mark.parametrize("engine", sorted(ENGINES), scope="module")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with LaptopCloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def container(
    image: BuiltImage, cloud: LaptopCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImageContainer]:
    """A container that the tests of an engine share; the last of them ends it."""
    bucket = Bucket(cloud.client("s3"))
    for sample in ("otter", "heron"):
        bucket.register(sample, sample)
    with ImageContainer(image, cloud, bucket, tmp_path_factory.mktemp(image.engine)) as running:
        running.wait_until_ready()
        yield running


def assert_by(answer: Answer, sample: str) -> None:
    assert answer.status == 200, answer.body
    assert check(answer.text, SEED_PROBLEM, sample).right_adapter, answer.text


@engines
class TestOneContainer:
    def test_process_1_is_the_entry_point_with_the_argument_serve(self, container: ImageContainer) -> None:
        image = container.image.config
        assert container.pid_1.cmdline()[1:] == [*image.entrypoint[1:], "serve"]
        assert container.pid_1.cwd() == image.working_dir

    def test_the_base_model_and_an_adapter_answer(self, container: ImageContainer) -> None:
        assert not check(container.ask().text, SEED_PROBLEM, "otter").right_adapter
        assert_by(container.ask("otter"), "otter")

    def test_a_stream_has_the_answers_events(self, container: ImageContainer) -> None:
        answer = container.ask("heron", stream=True)
        assert_by(answer, "heron")
        assert len(answer.only_events) > 3

    def test_an_adapter_published_later_is_loaded_to_the_large_disk(self, container: ImageContainer) -> None:
        entry = container.bucket.register("later", "badger")
        assert_by(container.ask("later"), "badger")
        found = [path for path in (container.folder / "tmp").rglob("*.safetensors") if path.stat().st_size]
        assert any(entry.revision in str(path) for path in found)

    def test_an_unknown_adapter_is_refused(self, container: ImageContainer) -> None:
        assert container.ask("nothing-here").error[:2] == (404, "adapter_not_found")

    def test_no_file_is_written_to_the_root_volume(self, container: ImageContainer) -> None:
        assert container.written_to_root() == []

    def test_the_model_directory_cannot_be_written(self, container: ImageContainer) -> None:
        with pytest.raises(OSError, match="Read-only file system"):
            (container.root / "opt/ml/model/file").touch()

    def test_a_full_root_volume_stops_nothing(self, container: ImageContainer) -> None:
        fill = container.root / "fill"
        with pytest.raises(OSError, match="No space left"), fill.open("wb") as file:
            while True:
                file.write(bytes(2**20))
        container.bucket.register("on-a-full-disk", "heron")
        assert_by(container.ask("on-a-full-disk"), "heron")
        assert_by(container.ask("otter", stream=True), "otter")
        assert container.ping() == 200
        fill.unlink()

    def test_orphans_are_reaped(self, container: ImageContainer) -> None:
        before = len(container.pid_1.children())
        container.run_inside("for each in 1 2 3; do (sleep 5 &) ; done")
        assert len(container.pid_1.children()) == before + 3, "process 1 has adopted them"
        wait_until(lambda: len(container.pid_1.children()) == before, "no zombie is left", seconds=15)
        assert container.ping() == 200

    def test_sigterm_lets_answers_finish_and_leaves_no_process(self, container: ImageContainer) -> None:
        """The last test of this container."""
        processes = container.processes()
        with ThreadPoolExecutor(8) as callers:
            asked = [
                callers.submit(
                    container.ask,
                    inputs=SLOW + SEED_PROBLEM.prompt,
                    max_new_tokens=200,
                    stream=bool(number % 2),
                )
                for number in range(8)
            ]
            wait_until(lambda: requests_inside(container) == len(asked), "every request is under way")
            assert not any(answer.done() for answer in asked)
            began = time.monotonic()
            container.terminate()
            code = container.exit_code()
            took = time.monotonic() - began
            answers = [answer.result() for answer in asked]
        assert [answer.status for answer in answers] == [200] * len(answers)
        # A stream that was cut has no text in its last event.
        assert all(answer.text for answer in answers)
        assert code == 0, container.text()[-4000:]
        assert took < 30
        assert not any(process.is_running() for process in processes)


@engines
def test_the_end_of_the_engine_is_the_end_of_the_container(
    image: BuiltImage, cloud: LaptopCloud, tmp_path: Path
) -> None:
    with ImageContainer(image, cloud, Bucket(cloud.client("s3")), tmp_path) as container:
        wait_until(container.ping, "the gateway answers")
        wait_until(container.pid_1.children, "the engine has started")
        processes = container.processes()
        os.kill(container.engine.pid, signal.SIGKILL)
        assert container.exit_code() == 1
        assert "the engine ended by itself, exit code -9" in container.text()
        wait_until(lambda: not any(process.is_running() for process in processes), "no process is left")


@engines
def test_ping_answers_503_while_the_engine_starts_and_sigterm_then_exits_0(
    image: BuiltImage, cloud: LaptopCloud, tmp_path: Path
) -> None:
    slow = {"LORAX_DOUBLE_START_SECONDS": "60"}
    with ImageContainer(image, cloud, Bucket(cloud.client("s3")), tmp_path, **slow) as container:
        wait_until(container.ping, "the gateway answers")
        ping = container.client.get("/ping")
        assert (ping.status, ping.json["error_type"]) == (503, "starting")
        container.terminate()
        assert container.exit_code() == 0, container.text()[-4000:]


@engines
def test_a_wrong_variable_is_one_line_and_exit_2(
    image: BuiltImage, cloud: LaptopCloud, tmp_path: Path
) -> None:
    wrong = {"MAX_INPUT_LENGTH": "lots"}
    with ImageContainer(image, cloud, Bucket(cloud.client("s3")), tmp_path, **wrong) as container:
        assert container.exit_code() == 2
        assert container.text() == "MAX_INPUT_LENGTH is 'lots': give a whole number of tokens, 1 or more\n"


def requests_inside(container: ImageContainer) -> int:
    """Return the gateway's number of requests in flight."""
    lines = container.client.get("/metrics").body.decode().splitlines()
    return int(next(float(line.split()[1]) for line in lines if line.startswith("lora_requests_inside ")))
