"""One container, on either engine, with the sample adapters published in a store that tests may change."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from adapters.store.layout import (
    WEIGHTS_FILE,
    RegistryEntry,
    adapter_prefix,
    content_digest,
    registry_key,
    revision_of,
)
from samples.problems import SEED_PROBLEM, SIGNATURES
from samples.spec import BASE_DIR
from tests.contract.calls import Answer, Bucket, Client, free_port, sample_files, wait_until

ROOT = Path(__file__).parents[2]
BASE_MODEL = "tiny-mistral"
#: How soon the containers of these tests serve what was published.
REGISTRY_CACHE_SECONDS = 0.5
COMMANDS = {
    "vllm": ("-m", "container.vllm", "serve"),
    "lorax": ("-m", "tests.contract.lorax_container", "serve"),
}


@dataclass
class Store:
    """The adapter store of a test."""

    bucket: Bucket
    published: dict[str, str] = field(default_factory=dict)
    """The current revision of each name."""

    def publish(self, name: str, files: Mapping[str, bytes], *, rank: int = 8) -> str:
        """Put a revision's objects there and make it the current one; the revision."""
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        digest = content_digest(digests)
        revision = revision_of(digest)
        for file, content in files.items():
            self.bucket.put(adapter_prefix(name, revision) + file, content)
        self.point(name, revision, digest, size=len(files[WEIGHTS_FILE]), rank=rank)
        return revision

    def publish_sample(self, name: str, sample: str) -> str:
        """Publish a sample adapter under any name."""
        return self.publish(name, sample_files(sample))

    def point(self, name: str, revision: str, digest: str, *, size: int = 1, rank: int = 8) -> None:
        """Write the registry entry alone."""
        entry = RegistryEntry(name, revision, digest, rank, size, BASE_MODEL, "here")
        self.bucket.put(registry_key(name), entry.to_json())
        self.published[name] = revision

    def remove(self, name: str) -> None:
        """Take the name away; its objects stay."""
        self.bucket.delete(registry_key(name))
        del self.published[name]


class Container:
    """`with Container("vllm", store, environment, folder) as container:` a ready container."""

    def __init__(self, engine: str, store: Store, environment: Mapping[str, str], folder: Path) -> None:
        self.engine = engine
        self.store = store
        self.client = Client(free_port())
        self.engine_client = Client(free_port())
        self.cache = folder / "adapters"
        self._log = folder / "container.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # What the laptop cloud sets on a container of its Local stage.
        variables = {
            "HF_MODEL_ID": BASE_MODEL,
            "ADAPTER_BUCKET": self.store.bucket.name,
            "MAX_INPUT_LENGTH": "256",
            "MAX_TOTAL_TOKENS": "512",
            "DEFAULT_MAX_NEW_TOKENS": "64",
            "MAX_NEW_TOKENS": "256",
            "MAX_ADAPTER_RANK": "8",
            "REGISTRY_CACHE_SECONDS": str(REGISTRY_CACHE_SECONDS),
            "SM_MODEL_DIR": str(BASE_DIR),
            "ADAPTER_CACHE_DIR": str(self.cache),
            "BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(self.client.port),
            "ENGINE_PORT": str(self.engine_client.port),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self._log.parent),
        }
        if self.engine == "vllm":
            # LoRAX has one width for all; vLLM's slots are made for what the samples change.
            variables["ADAPTER_TARGET_MODULES"] = "q_proj,v_proj"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *COMMANDS[self.engine]],
                env={**os.environ, **self._environment, **variables},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_ready, f"{self.engine} is ready", seconds=120)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            assert self._process.wait(timeout=40) == 0, self.log[-2000:]
        finally:
            self._process.kill()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def access_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith('{"log":"access"')]

    def invoke(self, adapter: str | None = None, *, stream: bool = False, **parameters: Any) -> Answer:
        """The seed article's question in LoRAX's schema, through /invocations."""
        asked = {"adapter_id": adapter, "max_new_tokens": 64} | parameters
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": asked, "stream": stream}
        return self.client.post("/invocations", body, timeout=60)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-4000:]
        try:
            return self.client.get("/ping").status == 200
        except OSError:
            return False


def house(text: str) -> str | None:
    """The sample adapter that wrote this, None if none did."""
    found = {signature.lower() for signature in SIGNATURES if signature in text}
    assert len(found) <= 1, text
    return found.pop() if found else None
