"""The seeder's memory does not grow with the files: Lambda gives it 512 MiB."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from laptop_cloud.cloud import LaptopCloud
from stacks.project import ROOT
from tests.harness import factories
from tests.harness.checkpoints import write_checkpoint
from tests.harness.store import MADE_RULES, Store
from tests.hub.server import HubServer

MEBIBYTES = 600
#: Of the whole process, Python and its imports included, in MiB.
MOST = {"write_adapter": 256, "write_checkpoint": 320}


@pytest.mark.parametrize("write", [factories.write_adapter, write_checkpoint])
def test_a_large_file_is_streamed_in_bounded_memory(
    laptop: LaptopCloud, tmp_path: Path, write: Callable[[Path, int], None]
) -> None:
    store = Store(laptop.client("s3"), rules=MADE_RULES)
    write(tmp_path, MEBIBYTES)
    with HubServer() as hub:
        commit = hub.add("acme/large", {path.name: path for path in tmp_path.iterdir()})
        command = [sys.executable, "-m", "benchmarks.seeding_process", hub.endpoint, store.bucket, commit]
        done = subprocess.run(command, cwd=ROOT, env=laptop.environment, capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["moved"] > MEBIBYTES * 2**20
    assert figures["peak"] < MOST[write.__name__], figures
    assert store.names() == ["large"]
