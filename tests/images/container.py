"""A container of a built image, run as SageMaker runs it."""

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]

from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.containers.sandbox.image_config import ImageConfig
from loraserve.images.laptop import engine_mounts
from samples.problems import SEED_PROBLEM
from samples.spec import BASE_DIR, BASE_NAME
from stacks.project import ROOT
from tests.harness.bucket import Bucket
from tests.harness.http_client import Answer
from tests.harness.sandbox import SandboxedContainer
from tests.harness.waiting import wait_until

#: Of the tests' images in buildah's store, which other working copies use as well.
TAG = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class EngineInPlace:
    """An engine that takes the place of the one that a stand-in lacks."""

    mounts: Mapping[str, Path]
    """Read-only mounts: path in the container, path here."""
    variables: Mapping[str, str] = field(default_factory=dict)


ENGINES = {
    "vllm": EngineInPlace(engine_mounts(), {"ADAPTER_TARGET_MODULES": "q_proj,v_proj"}),
    "lorax": EngineInPlace(
        {
            # The double's packages are among them.
            **engine_mounts(),
            "/opt/double": ROOT,
            "/usr/local/bin/lorax-launcher": Path(__file__).with_name("lorax_launcher.py"),
        },
        {"LORAX_DOUBLE_SLOW_TOKEN_SECONDS": "0.02"},
    ),
}


@dataclass(frozen=True)
class BuiltImage:
    """An image of this project whose root file system is mounted."""

    engine: str
    reference: str
    root: Path
    config: ImageConfig


@contextlib.contextmanager
def mounted(engine: str, reference: str) -> Iterator[BuiltImage]:
    """Mount the root file system of an image in buildah's store for the block."""
    container = buildah("from", reference)
    try:
        document = json.loads(buildah("inspect", "--type", "image", reference))["OCIv1"]
        yield BuiltImage(engine, reference, Path(buildah("mount", container)), ImageConfig.of(document))
    finally:
        buildah("rm", container)


def buildah(*arguments: str) -> str:
    """Run buildah; return what it prints."""
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class ImageContainer(SandboxedContainer):
    """`with ImageContainer(image, cloud, bucket, folder) as container:` runs the image with `serve`.

    The block begins before it answers. At its end the container is killed with all of its processes.
    """

    def __init__(
        self, image: BuiltImage, cloud: LaptopCloud, bucket: Bucket, folder: Path, **variables: str
    ) -> None:
        self.image, self.bucket = image, bucket
        (folder / "model").symlink_to(BASE_DIR)
        environment = {
            "HF_MODEL_ID": BASE_NAME,
            "ADAPTER_BUCKET": bucket.name,
            "MAX_INPUT_LENGTH": "256",
            "MAX_TOTAL_TOKENS": "512",
            "DEFAULT_MAX_NEW_TOKENS": "64",
            "MAX_NEW_TOKENS": "256",
            "MAX_ADAPTER_RANK": "8",
            "REGISTRY_CACHE_SECONDS": "0.2",
            **ENGINES[image.engine].variables,
            # What the platform sets. Access keys are the account's root; a role's are in the end-to-end test.
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_ACCESS_KEY_ID": cloud.environment["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": cloud.environment["AWS_SECRET_ACCESS_KEY"],
            **variables,
        }
        mounts = ENGINES[image.engine].mounts
        super().__init__(
            (image.root,), image.config, folder, environment=environment, mounts=mounts, aws=cloud.port
        )

    def __enter__(self) -> Self:
        return self.start()

    @property
    def pid_1(self) -> psutil.Process:
        """The container's first process."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        return next(process for process in processes if namespaced_pid(process) == 1)

    @property
    def engine(self) -> psutil.Process:
        """The engine's first process."""
        return self.pid_1.children()[0]

    @property
    def root(self) -> Path:
        """The root directory as the container's processes see it."""
        return Path(f"/proc/{self.pid_1.pid}/root")

    def ping(self) -> int:
        """Return the status of /ping; 0 if nothing answers yet."""
        assert self.process.poll() is None, self.text()[-4000:]
        with contextlib.suppress(OSError, ValueError):
            return self.client.get("/ping").status
        return 0

    def wait_until_ready(self, seconds: float = 300) -> None:
        """Return when /ping answers 200; vLLM needs 50 s on two idle cores, most of it for its imports."""
        wait_until(lambda: self.ping() == 200, "the container is ready", seconds)

    def exit_code(self, seconds: float = 40) -> int:
        """Wait for the container's end."""
        return self.process.wait(timeout=seconds)

    def ask(
        self,
        adapter: str | None = None,
        *,
        inputs: str = SEED_PROBLEM.prompt,
        stream: bool = False,
        **parameters: Any,
    ) -> Answer:
        """Send the samples' question, or other inputs, in LoRAX's schema through /invocations."""
        asked = {"adapter_id": adapter, "max_new_tokens": 64} | parameters
        body = {"inputs": inputs, "parameters": asked, "stream": stream}
        return self.client.post("/invocations", body, timeout=60)

    def run_inside(self, script: str) -> None:
        """Run a shell script in the container's namespaces, with the image's programs."""
        target = ("--target", str(self.pid_1.pid), "--mount", "--pid", "--net", "--ipc", "--uts")
        subprocess.run(["nsenter", *target, "sh", "-c", script], check=True, env={"PATH": os.defpath})

    def written_to_root(self) -> list[str]:
        """Return the files that the container has written outside of its mounts, without leading slash."""
        # The writable layer is mounted in the sandbox's mount namespace only.
        sandbox = self.pid_1.parent().parent()
        upper = Path(f"/proc/{sandbox.pid}/root{self.folder.resolve()}/sandbox/writable/upper")
        assert upper.is_dir(), upper
        return sorted(str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_dir())


def namespaced_pid(process: psutil.Process) -> int:
    """Return a process's number in its own PID namespace."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("NSpid:")]
    return int(line.split()[-1])
