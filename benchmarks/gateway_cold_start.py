"""Cold start of an adapter: duration of the first request to an adapter that is in the bucket only.

Compares it with its lower bound, a plain download of the files (boto3's `download_file`, with its defaults)
plus a load by the engine (vLLM's `/v1/load_lora_adapter`, files just written). The first request also waits
for two steps of the engine: the probe of the load and the request itself. Both are measured alone, with the
adapter loaded. It is the part `cold` of `python -m benchmarks.gateway`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
from safetensors.numpy import save

from adapters.files import BytesFile
from adapters.store.layout import (
    ADAPTER_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    RegistryEntry,
    registry_key,
    revision_of,
)
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from benchmarks.container_process import ContainerProcess, run_container
from benchmarks.summary import medians
from container.vllm.probe import probe_body
from laptop_cloud.cloud import LaptopCloud
from samples.spec import BASE_DIR, BASE_NAME, DIMENSIONS
from tests.harness.sample_adapters import digest_of
from tests.harness.store import Store

#: With this rank an adapter on all linear layers of the sample base, in float32, has 40 MB (10^6 bytes).
RANK = 512
RULES = Rules("vllm", RANK, BASE_NAME, None)
SETTINGS = {
    "HF_MODEL_ID": BASE_NAME,
    "MAX_INPUT_LENGTH": "256",
    "MAX_TOTAL_TOKENS": "512",
    "DEFAULT_MAX_NEW_TOKENS": "64",
    "MAX_NEW_TOKENS": "256",
    "MAX_ADAPTER_RANK": str(RANK),
    "MAX_ACTIVE_ADAPTERS": "4",
}
#: One token: on a CPU a whole problem takes a second with an adapter of this rank, even when it is loaded.
PROMPT = "a"
#: Figures, in seconds: the first request, the same request again, the probe of the loaded adapter, a plain
#: download, a load by the engine.
FIRST, AGAIN, PROBE, DOWNLOAD, LOAD = "first_s", "again_s", "probe_s", "download_s", "load_s"
_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class ColdStartSize:
    """Number of rounds; each has one cold adapter."""

    rounds: int

    @property
    def steps(self) -> int:
        """Number of measurements."""
        return self.rounds


FULL = ColdStartSize(rounds=5)
QUICK = ColdStartSize(rounds=3)


def modules() -> dict[str, tuple[int, int]]:
    """Return the inputs and outputs of each linear layer in a block of the sample base."""
    hidden, inner, head = (DIMENSIONS[key] for key in ("hidden_size", "intermediate_size", "head_dim"))
    queries, keys = (DIMENSIONS[f"num_{kind}_heads"] * head for kind in ("attention", "key_value"))
    return {
        "self_attn.q_proj": (hidden, queries),
        "self_attn.k_proj": (hidden, keys),
        "self_attn.v_proj": (hidden, keys),
        "self_attn.o_proj": (queries, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }


def large_adapter(seed: int) -> dict[str, bytes]:
    """Make an adapter's two files. Each seed gives different weights, with an effect that the probe shows."""
    rng = np.random.default_rng(seed)
    # The probe is 0.5 nats from the base model's; at 1e-4 it is 2e-5, and the adapter would be refused.
    scale = 2e-2
    tensors = {}
    for layer in range(DIMENSIONS["num_hidden_layers"]):
        for module, (inputs, outputs) in modules().items():
            path = f"base_model.model.model.layers.{layer}.{module}"
            for side, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK))):
                weights = rng.standard_normal(shape, np.float32) * scale
                tensors[f"{path}.lora_{side}.weight"] = weights.astype(np.float32)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BASE_NAME,
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": [module.rpartition(".")[2] for module in modules()],
        "bias": "none",
    }
    return {CONFIG_FILE: json.dumps(config).encode(), WEIGHTS_FILE: save(tensors)}


def publish_large(store: Store, number: int) -> int:
    """Check and publish the adapter `cold-<number>`; return the size of its weights in bytes.

    The seeder is not used: to pack its manifest would take longer than the measurement.
    """
    name, files = f"cold-{number}", large_adapter(number)
    weights = files[WEIGHTS_FILE]
    facts = check_adapter(name, files[CONFIG_FILE], BytesFile(weights), RULES)
    digest = digest_of(files)
    entry = RegistryEntry(name, revision_of(digest), digest, facts.rank, len(weights), BASE_NAME, "made")
    for file, content in files.items():
        store.s3.put_object(Bucket=store.bucket, Key=entry.prefix + file, Body=content)
    store.s3.put_object(Bucket=store.bucket, Key=registry_key(name), Body=entry.to_json())
    return len(weights)


def measure(size: ColdStartSize, advance: Callable[[], None]) -> dict[str, Any]:
    """Measure all rounds, each with a separate adapter; call `advance` after each of them."""
    with tempfile.TemporaryDirectory(prefix="cold-") as name, LaptopCloud() as cloud:
        folder = Path(name)
        (folder / "model").symlink_to(BASE_DIR)
        s3 = cloud.client("s3")
        store = Store(s3)
        # One more adapter for the warm-up.
        sizes = [publish_large(store, number) for number in range(size.rounds + 1)]
        with run_container(cloud, folder, SETTINGS | {"ADAPTER_BUCKET": store.bucket}) as running:
            round_of = _Round(running, s3, store, folder)
            round_of.measure(size.rounds)
            rounds = []
            for number in range(size.rounds):
                rounds.append(round_of.measure(number))
                advance()
    return {"rounds": rounds, "medians": medians(rounds), "bytes": sizes[0]}


@dataclass(frozen=True)
class _Round:
    container: ContainerProcess
    s3: Any
    store: Store
    folder: Path

    def measure(self, number: int) -> dict[str, float]:
        """Measure a cold adapter through the gateway, its plain download, and the load of another one."""
        figures = {}
        if number % 2:
            figures[DOWNLOAD] = self._download(number)
            figures[FIRST] = self._ask(number)
        else:
            figures[FIRST] = self._ask(number)
            figures[DOWNLOAD] = self._download(number)
        figures[AGAIN] = self._ask(number)
        figures[PROBE] = self._probe(number)
        figures[LOAD] = self._load(number)
        return figures

    def _ask(self, number: int) -> float:
        body = {
            "inputs": PROMPT,
            "parameters": {"adapter_id": f"cold-{number}", "max_new_tokens": 1},
        }
        return _post(self.container.port, "/invocations", body)

    def _probe(self, number: int) -> float:
        """Send the engine the probe of a load again; the adapter is loaded."""
        engine_id = self.store.entry(f"cold-{number}").prefix
        return _post(self.container.engine_port, "/v1/completions", probe_body(engine_id))

    def _download(self, number: int) -> float:
        """Download the adapter's files with boto3's defaults."""
        target = self.folder / "plain" / str(number)
        target.mkdir(parents=True)
        prefix = self.store.entry(f"cold-{number}").prefix
        began = time.perf_counter()
        for file in ADAPTER_FILES:
            self.s3.download_file(self.store.bucket, prefix + file, str(target / file))
        return time.perf_counter() - began

    def _load(self, number: int) -> float:
        """Load an adapter from disk by a request to the engine, which has not seen this adapter."""
        target = self.folder / "other" / str(number)
        target.mkdir(parents=True)
        for file, content in large_adapter(1000 + number).items():
            (target / file).write_bytes(content)
        body = {"lora_name": f"other-{number}", "lora_path": str(target)}
        return _post(self.container.engine_port, "/v1/load_lora_adapter", body)


def _post(port: int, path: str, body: dict[str, Any]) -> float:
    """Return the seconds until the response is complete; raise for an error status."""
    request = Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    began = time.perf_counter()
    with _direct.open(request, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - began
