"""The laptop cloud starts clearly, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from laptop_cloud import detached
from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.containers.images import REPOSITORY
from laptop_cloud.ports import PortTaken
from laptop_cloud.process import CloudFailed
from loraserve import local_stage
from loraserve.local_stage import LaptopCloudError
from tests.harness.waiting import wait_until


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def server_of(processes: list[psutil.Process]) -> psutil.Process:
    """The server itself, not its supervisor."""
    [server] = [
        p
        for p in processes
        if "laptop_cloud" in p.cmdline() and "laptop_cloud.containers.supervisor" not in p.cmdline()
    ]
    return server


def test_nothing_is_left_when_the_block_ends(
    tmp_path: Path, images: Any, sagemaker_of: Any, processes_of: Any
) -> None:
    with LaptopCloud(tmp_path, images=images) as cloud:
        sagemaker_of(cloud).endpoint()
        assert len(processes_of(tmp_path)) >= 4
    assert processes_of(tmp_path) == []


def test_a_server_that_is_killed_takes_its_containers_with_it(
    tmp_path: Path, images: Any, sagemaker_of: Any, processes_of: Any
) -> None:
    with LaptopCloud(tmp_path, images=images) as cloud:
        sagemaker_of(cloud).endpoint()
        server_of(processes_of(tmp_path)).kill()
        wait_until(lambda: processes_of(tmp_path) == [], "everything is gone")


def test_a_supervisor_that_is_killed_takes_its_container_with_it(
    tmp_path: Path, images: Any, sagemaker_of: Any, processes_of: Any
) -> None:
    with LaptopCloud(tmp_path, images=images) as cloud:
        sagemaker = sagemaker_of(cloud)
        answer = sagemaker.runtime.invoke_endpoint(EndpointName=sagemaker.endpoint(), Body=b"{}")
        container = psutil.Process(json.load(answer["Body"])["pid"])
        container.parent().kill()
        wait_until(lambda: not psutil.pid_exists(container.pid), "the container is gone")


def test_a_cloud_dies_with_the_process_that_owns_it(tmp_path: Path, processes_of: Any) -> None:
    owner_program = (
        "import sys, time; from pathlib import Path; from laptop_cloud.cloud import LaptopCloud\n"
        "with LaptopCloud(Path(sys.argv[1])):\n    print('up', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", owner_program, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        owner.kill()
    wait_until(lambda: processes_of(tmp_path) == [], "the server is gone")


def test_a_container_that_does_not_heed_sigterm_is_killed(
    tmp_path: Path, images: Any, sagemaker_of: Any, processes_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LaptopCloud(tmp_path, images=images) as cloud:
        sagemaker = sagemaker_of(cloud)
        sagemaker.endpoint(sagemaker.config(sagemaker.model(Environment={"IGNORE_SIGTERM": "1"})))
        monkeypatch.setattr("laptop_cloud.cloud._STOP_LIMIT_S", 1)
    assert processes_of(tmp_path) == []


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(
        PortTaken, match=f"port {taken_port} of 127.0.0.1 is taken: stop .* or choose another port"
    ):
        LaptopCloud(tmp_path, port=taken_port).__enter__()


def test_the_server_names_a_port_that_is_taken_and_exits(tmp_path: Path, taken_port: int) -> None:
    command = [sys.executable, "-m", "laptop_cloud", "--port", str(taken_port), "--state", str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: port {taken_port} of 127.0.0.1 is taken")


def test_a_server_that_does_not_come_up_is_reported_with_end_of_its_log(
    tmp_path: Path, processes_of: Any
) -> None:
    with pytest.raises(
        CloudFailed, match=r"ended with status 2(.|\n)*not-localhost=x.*is not localhost/<room>"
    ):
        LaptopCloud(tmp_path, images={"not-localhost": ["x"]}).__enter__()
    assert processes_of(tmp_path) == []


def test_only_the_one_port_is_listened_on_and_only_on_this_machine(cloud: Any, processes_of: Any) -> None:
    server = server_of(processes_of(cloud.state))
    listening = {c.laddr for c in server.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", cloud.port)}


def test_every_file_is_written_under_the_state_directory(tmp_path: Path) -> None:
    before = set(Path("/tmp").iterdir())  # noqa: S108
    with LaptopCloud(tmp_path / "state") as cloud:
        cloud.client("s3").create_bucket(Bucket="some-bucket")
    assert not [path for path in set(Path("/tmp").iterdir()) - before if "ministack" in path.name]  # noqa: S108


class TestDetached:
    """`up`, `running` and `down`."""

    def test_up_twice_is_one_cloud_and_down_twice_is_none(self, tmp_path: Path, processes_of: Any) -> None:
        assert detached.running(tmp_path) is None
        first = detached.up(tmp_path)
        try:
            again = detached.up(tmp_path)
            assert again.port == first.port
            found = detached.running(tmp_path)
            assert found is not None
            assert found.client("s3").list_buckets()["Buckets"] == []
            assert not detached.pulls_images(tmp_path)
        finally:
            detached.down(tmp_path)
        assert processes_of(tmp_path) == []
        assert not (tmp_path / "cloud.json").exists()
        detached.down(tmp_path)

    def test_a_cloud_that_was_killed_is_not_running_and_can_be_started_again(self, tmp_path: Path) -> None:
        detached.up(tmp_path)
        pid = json.loads((tmp_path / "cloud.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: detached.running(tmp_path) is None, "it is seen to be gone")
        try:
            assert detached.up(tmp_path).client("s3").list_buckets()["Buckets"] == []
        finally:
            detached.down(tmp_path)

    def test_another_process_with_the_noted_number_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "cloud.json").write_text(json.dumps({"pid": os.getpid(), "port": 1}))
        assert detached.running(tmp_path) is None
        detached.down(tmp_path)
        assert not (tmp_path / "cloud.json").exists()

    def test_a_cloud_that_runs_no_images_is_not_used_for_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert local_stage.running(real_images=True) is None
        started = local_stage.start(None)
        try:
            found = local_stage.running()
            assert found is not None
            assert found.port == started.port
            with pytest.raises(LaptopCloudError, match="does not run images: stop it with make down"):
                local_stage.running(real_images=True)
        finally:
            local_stage.stop()
