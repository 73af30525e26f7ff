"""The LoRAX double as a separate process, because it may end at any time."""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from laptop_cloud.cloud import LaptopCloud
from tests.harness.bucket import Bucket
from tests.harness.http_client import Answer, Client
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until

ROOT = Path(__file__).parents[2]
MODEL_ID = "tiny-mistral"
COMMAND = (sys.executable, "-m", "tests.contract.lorax_double")


def lorax_environment(cloud: LaptopCloud, bucket: Bucket) -> dict[str, str]:
    """A double's variables: what our container sets, with adapters from this bucket."""
    return {
        **cloud.environment,
        "MODEL_ID": MODEL_ID,
        "ADAPTER_SOURCE": "s3",
        "PREDIBASE_MODEL_BUCKET": bucket.name,
    }


class LoraxProcess:
    """`with LoraxProcess(environment, folder) as lorax:` its output and downloads are stored in the folder."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self.cache = folder / "cache"
        self._log = folder / "lorax.log"
        self.client = Client(free_port())
        self._callers = ThreadPoolExecutor(32)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        assert self._process is None, "it was started before"
        environment = {
            **self._environment,
            "PYTHONPATH": str(ROOT),
            "HUGGINGFACE_HUB_CACHE": str(self.cache),
        }
        with self._log.open("ab") as log:
            command = [*COMMAND, "--port", str(self.client.port)]
            self._process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        wait_until(self._answers, "the double listens")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill it; its downloads are kept."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._callers.shutdown(cancel_futures=True)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def loads(self) -> list[str]:
        """The ids of the adapters that were loaded, in this order; the base model is one, too."""
        words = "adapter s3:"
        lines = [line for line in self.log.splitlines() if line.endswith(" loaded") and words in line]
        return [line.partition(words)[2].removesuffix(" loaded") for line in lines]

    def is_alive(self) -> bool:
        assert self._process is not None
        return self._process.poll() is None

    def exit_code(self) -> int:
        """Wait for the end."""
        assert self._process is not None
        return self._process.wait(timeout=30)

    def later(self, *inputs: Any, **options: Any) -> Future[Answer]:
        """Run `Client.generate` in a thread."""
        return self._callers.submit(self.client.generate, *inputs, **options)

    def _answers(self) -> bool:
        assert self.is_alive(), self.log
        with contextlib.suppress(OSError):
            return self.client.get("/info").status == 200
        return False
