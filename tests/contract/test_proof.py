"""Proof of effect and identity on the real vLLM (CPU build), one process of it, with several kinds of sabotage.

Each instance is a gateway that has just started, in front of the engine that all of them use one after the other.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapters.files import LocalFile
from adapters.store.layout import PROBES_PREFIX, WEIGHTS_FILE
from adapters.validation.safetensors import HEADER_LENGTH_BYTES, read_header
from container.gateway.adapters.s3 import S3Store
from container.gateway.assembly import Assembly, assemble
from container.gateway.engine.connection import EnginePool
from container.gateway.engine.readiness import EngineState
from container.gateway.settings import Settings, read_settings
from container.vllm.command import vllm_launch
from laptop_cloud.cloud import LaptopCloud
from samples.problems import SEED_PROBLEM
from samples.spec import ADAPTERS_DIR, BASE_DIR
from stacks.project import ROOT
from tests.contract.both_engines import signing_adapter
from tests.harness.bucket import Bucket
from tests.harness.http_client import Client
from tests.harness.ports import free_port
from tests.harness.sample_adapters import sample_files
from tests.harness.waiting import wait_until


@dataclass
class Engine:
    """vLLM's process, which loads adapters from `bucket`."""

    settings: Settings
    bucket: Bucket
    swap: Path

    def swap_slots(self) -> None:
        """Exchange the weights of two slots in the running engine."""
        self.swap.touch()
        wait_until(lambda: not self.swap.exists(), "the slots are swapped")


@pytest.fixture(scope="module")
def engine(cloud: LaptopCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("proof")
    bucket, port = Bucket(cloud.client("s3")), free_port()
    settings = read_settings(
        {
            "HF_MODEL_ID": "tiny-mistral",
            "SM_MODEL_DIR": str(BASE_DIR),
            "ADAPTER_BUCKET": bucket.name,
            "ADAPTER_CACHE_DIR": str(folder / "adapters"),
            "ADAPTER_TARGET_MODULES": "q_proj,v_proj",
            "ENGINE_PORT": str(port),
            "MAX_ACTIVE_ADAPTERS": "8",
            "MAX_ADAPTER_RANK": "8",
            "MAX_INPUT_LENGTH": "256",
            "MAX_TOTAL_TOKENS": "512",
        }
    )
    launch = vllm_launch(settings)
    environment = launch.environment | {
        **cloud.environment,
        "PYTHONPATH": os.pathsep.join((str(Path(__file__).with_name("sabotage")), str(ROOT))),
        "SWAP_SLOTS": str(folder / "swap"),
    }
    # The engine gets the laptop cloud's credentials, and keeps what the container sets.
    environment |= {key: value for key, value in launch.environment.items() if key.startswith("VLLM_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(launch.command, env=environment, stdout=log, stderr=log)
    try:
        client = Client(port)

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()[-4000:]
            with contextlib.suppress(OSError):
                return client.get("/health").status == 200
            return False

        wait_until(answers, "the engine is ready", 240)
        yield Engine(settings, bucket, folder / "swap")
    finally:
        process.terminate()
        process.wait(30)


class Instance:
    """A gateway that is in service, with its client."""

    def __init__(self, parts: Assembly, client: TestClient[Any, Any]) -> None:
        self.parts = parts
        self._client = client

    async def ask(self, adapter: str | None) -> tuple[int, str]:
        """Return the status, and the error type or the text; None is the base model."""
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": {"adapter_id": adapter, "max_new_tokens": 48}}
        async with self._client.post("/generate", json=body) as answer:
            found = await answer.json()
            return answer.status, found.get("error_type") or found["generated_text"]

    async def events(self, adapter: str) -> str:
        """Return a whole stream."""
        body = {"inputs": SEED_PROBLEM.prompt, "parameters": {"adapter_id": adapter, "max_new_tokens": 48}}
        async with self._client.post("/generate_stream", json=body) as answer:
            return await answer.text()

    async def leave_service_during(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Leave service once the call is at the engine; return its result."""
        task = asyncio.create_task(call)
        while b"lora_requests_at_engine 1.0" not in self.parts.telemetry.prometheus():  # noqa: ASYNC110 — no event
            await asyncio.sleep(0)
        self.parts.readiness.leave_service()
        return await task

    async def ping(self) -> int:
        async with self._client.get("/ping") as answer:
            return answer.status

    async def wrong_adapters(self) -> int:
        """Return the counter that raises the alarm."""
        async with self._client.get("/metrics") as answer:
            (line,) = [
                each
                for each in (await answer.text()).splitlines()
                if each.startswith("lora_wrong_adapters_total")
            ]
        return int(float(line.split()[1]))


@contextlib.asynccontextmanager
async def instance(engine: Engine) -> AsyncIterator[Instance]:
    pool = EnginePool("127.0.0.1", engine.settings.engine_port)
    backend = vllm_launch(engine.settings).connect(pool)
    parts = assemble(engine.settings, backend, S3Store(engine.bucket.name, None), lambda _: None)
    await parts.prover.start()
    parts.readiness.state = EngineState.READY
    async with TestClient(TestServer(parts.gateway.application())) as client:
        yield Instance(parts, client)
    for engine_id in parts.cache.loaded:
        await backend.unload(engine_id)
    pool.close()


@pytest.fixture(autouse=True)
def _credentials(cloud: LaptopCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def without_effect(sample: str) -> dict[str, bytes]:
    """Return a sample's files with all of lora_B zero."""
    files = sample_files(sample)
    weights = ADAPTERS_DIR / sample / WEIGHTS_FILE
    content = bytearray(files[WEIGHTS_FILE])
    start = HEADER_LENGTH_BYTES + int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    for name, tensor in read_header(sample, LocalFile(weights)).items():
        if "lora_B" in name:
            content[start + tensor.start : start + tensor.end] = bytes(tensor.end - tensor.start)
    return files | {WEIGHTS_FILE: bytes(content)}


def for_other_layers(sample: str) -> dict[str, bytes]:
    """Return a sample's files whose tensors have names of layers that the base model does not have."""
    files = sample_files(sample)
    # As long as the names that they replace.
    return files | {WEIGHTS_FILE: files[WEIGHTS_FILE].replace(b"model.model.layers.", b"model.model.blocks.")}


async def test_honest_adapters_are_served_and_recorded_once(engine: Engine) -> None:
    for sample in ("otter", "heron", "badger"):
        engine.bucket.register(sample, sample)
    for _ in range(2):
        async with instance(engine) as subject:
            for sample in ("otter", "heron", "badger"):
                status, text = await subject.ask(sample)
                assert (status, signing_adapter(text)) == (200, sample)
            for engine_id in (None, *subject.parts.cache.loaded):
                await subject.parts.prover.repeat(engine_id)
            assert (await subject.ping(), await subject.wrong_adapters()) == (200, 0)
    records = engine.bucket.keys(PROBES_PREFIX)
    assert len(records) == 3


async def test_the_base_model_answers_beside_adapters_in_all_slots(engine: Engine) -> None:
    samples = ("otter", "heron", "badger", "falcon", "lynx", "marten", "plover", "raven")
    assert len(samples) == engine.settings.max_active_adapters
    for sample in samples:
        engine.bucket.register(sample, sample)
    async with instance(engine) as subject:
        alone = await subject.ask(None)
        assert alone[0] == 200
        for sample in samples:
            assert signing_adapter((await subject.ask(sample))[1]) == sample
        answers = await asyncio.gather(*(subject.ask(each) for each in (None, *samples, None)))
        assert [answers[0], answers[-1]] == [alone, alone]
        assert [signing_adapter(text) for _, text in answers[1:-1]] == [*samples]


@pytest.mark.parametrize("sabotaged", [without_effect, for_other_layers])
async def test_an_adapter_without_effect_is_refused_with_that_reason(engine: Engine, sabotaged: Any) -> None:
    entry = engine.bucket.publish("bison", sabotaged("bison"))
    async with instance(engine) as subject:
        assert await subject.ask("bison") == (409, "adapter_without_effect")
        assert await subject.ask("bison") == (409, "adapter_without_effect")
        assert await subject.ping() == 200
    assert not engine.bucket.keys(f"{PROBES_PREFIX}{entry.revision}/")
    assert not (engine.settings.adapter_cache_dir / entry.prefix).exists()


async def test_swapped_slots_take_the_instance_out_of_service(engine: Engine) -> None:
    for sample in ("camel", "cobra"):
        engine.bucket.register(sample, sample)
    async with instance(engine) as subject:
        for sample in ("camel", "cobra"):
            assert signing_adapter((await subject.ask(sample))[1]) == sample
        engine.swap_slots()
        try:
            # Without the proof this is what happens: another adapter's answer, under the right name.
            assert signing_adapter((await subject.ask("camel"))[1]) == "cobra"
            with pytest.raises(Exception, match="another model"):
                await subject.parts.prover.repeat(subject.parts.cache.loaded[0])
            assert await subject.ask("cobra") == (503, "wrong_adapter")
            assert await subject.ping() == 503
            assert await subject.wrong_adapters() == 2
        finally:
            engine.swap_slots()


async def test_files_exchanged_on_the_disk_are_unlike_the_record(engine: Engine) -> None:
    entry = engine.bucket.register("crane", "crane")
    async with instance(engine) as subject:
        assert signing_adapter((await subject.ask("crane"))[1]) == "crane"
    weights = engine.settings.adapter_cache_dir / entry.prefix / WEIGHTS_FILE
    weights.write_bytes((ADAPTERS_DIR / "dingo" / WEIGHTS_FILE).read_bytes())
    async with instance(engine) as subject:
        assert await subject.ask("crane") == (500, "wrong_adapter")
        assert await subject.ping() == 503


async def test_answers_under_way_fail_when_the_instance_leaves_service(engine: Engine) -> None:
    engine.bucket.register("otter", "otter")
    async with instance(engine) as subject:
        assert await subject.leave_service_during(subject.ask("otter")) == (500, "wrong_adapter")
    async with instance(engine) as subject:
        events = await subject.leave_service_during(subject.events("otter"))
        assert "wrong_adapter" in events
        assert "Otter" not in events
