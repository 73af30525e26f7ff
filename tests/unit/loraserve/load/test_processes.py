import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from benchmarks.null_endpoint import null_endpoint, read_counts
from loraserve.load.job import LoadJob, Target
from loraserve.load.processes import GeneratorFailed, run
from stacks.project import ROOT
from tests.unit.loraserve.load.generated_load import STREAM, WHOLE, bodies, job, workload

KEYS = Credentials("AK", "SECRET", "TOKEN")


def fail(_: int) -> bytes:
    """A body that cannot be made."""
    raise ValueError("planted")


def test_processes_share_the_requests_and_their_results_are_merged() -> None:
    requests = workload(1500, 3000, tokens=3)
    ended: list[int] = []
    with null_endpoint("--keys", "AK:SECRET:TOKEN") as url:
        found = run(job(url + STREAM, requests, cores=2), ended.append, KEYS)
        counts = read_counts(url)

    assert [result.index for result in found.results] == list(range(1500))
    assert all(str(result.text).endswith(f"[{requests.name_of(result.index)}]") for result in found.results)
    assert counts["requests"] == 1500
    assert found.health.gc_off
    assert not found.interrupted
    assert 0 < sum(ended) <= 1500
    # The engine's stamps and the run's clock are the same clock.
    first = found.results[0]
    assert first.text is not None and first.first_token_s is not None
    assert 0 <= found.began_ns + first.first_token_s * 1e9 - int(first.text.split()[0]) < 1e9


INTERRUPTED = """
from botocore.credentials import Credentials
from loraserve.load.processes import run
from tests.unit.loraserve.load.generated_load import job, workload
if __name__ == "__main__":
    ended = []
    def show(count):
        # By then a request is in flight that is never answered.
        if sum(ended) < 10 <= sum(ended) + count:
            print("begun", flush=True)
        ended.append(count)
    found = run(job("{url}", workload(1000, 20), cores=2), show, Credentials("a", "b"))
    print(found.interrupted, 0 < len(found.results) < 1000, found.unfinished > 0)
"""


def test_ctrl_c_returns_the_results_until_then() -> None:
    """A terminal sends it to every process, and `timeout` twice."""
    with null_endpoint("--fault", "no-answer=2") as url:
        script = INTERRUPTED.replace("{url}", url + WHOLE)
        caller = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert caller.stdout is not None
        assert caller.stdout.readline() == "begun\n"
        for _ in range(2):
            os.killpg(caller.pid, signal.SIGINT)
        out, errors = caller.communicate(timeout=20)

    assert (out, errors) == ("True True True\n", "")


def test_a_body_that_cannot_be_made_ends_the_run() -> None:
    load = LoadJob(target=Target(url="http://127.0.0.1:9"), workload=workload(2, 1000), bodies=fail)

    with pytest.raises(
        GeneratorFailed, match="ended with status 1, without its results; see its message above"
    ):
        run(load, lambda _: None)


def test_the_generator_ends_with_a_killed_caller() -> None:
    script = (
        "from tests.unit.loraserve.load.generated_load import job, workload\n"
        "from loraserve.load.processes import run\n"
        "from botocore.credentials import Credentials\n"
        "import multiprocessing, threading\n"
        "if __name__ == '__main__':\n"
        "    def show(count): print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    run(job('http://127.0.0.1:9/x', workload(1000, 10)), show)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    generator = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    caller.stdout.close()

    process = Path(f"/proc/{generator}")
    deadline = time.monotonic() + 10
    while process.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.exists()


def test_bodies_may_be_a_list_or_a_function() -> None:
    requests = workload(2, 1)
    made = bodies(requests, stream=False)
    target = Target(url="http://127.0.0.1:9")

    assert LoadJob(target=target, workload=requests, bodies=made).body(1) == made[1]
    assert LoadJob(target=target, workload=requests, bodies=made.__getitem__).body(1) == made[1]
