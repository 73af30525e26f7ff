"""The decisions about probes, with an engine whose probes a test sets."""

import asyncio
import json
import logging
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.store.layout import WEIGHTS_FILE, adapter_prefix, revision_of
from container.gateway.adapters.registry import Adapter
from container.gateway.errors import GatewayError
from container.gateway.identity.margins import MARGINS, margin
from container.gateway.identity.prover import CLEAR, Prover
from container.gateway.identity.records import record_key
from container.gateway.proof.conditions import BaseModel, Conditions, EngineFacts
from container.gateway.proof.probe import Probe
from samples.spec import ADAPTERS_DIR
from tests.harness.probes import FACTS, PROBE, ProbedEngine
from tests.harness.registry_store import StubStore
from tests.harness.sample_adapters import digest_of, sample_files

BASE = BaseModel("tiny-mistral", "", "")
LIMIT = MARGINS["float32"]


def moved(probe: Probe, by: float) -> Probe:
    """Return a probe at this distance."""
    return Probe(tuple(value - by for value in probe.logprobs))


OTTER, BISON = moved(PROBE, 1.0), moved(PROBE, 2.0)


class Instance:
    """A prover with its engine; the adapters of `loaded` are in its cache."""

    def __init__(self, directory: Path, store: StubStore | None = None) -> None:
        self.directory = directory
        self.store = store or StubStore({})
        self.engine = ProbedEngine(directory)
        self.loaded: tuple[str, ...] = ()
        self.in_use: tuple[str, ...] = ()
        self.left_service = False
        self.prover = Prover(self.engine, self.store, BASE, lambda: self, self._leave)

    def _leave(self) -> None:
        self.left_service = True

    async def load(self, adapter: Adapter, probe: Probe) -> None:
        await self.prover.prove(adapter, probe)
        self.engine.probes[adapter.engine_id] = probe
        self.loaded += (adapter.engine_id,)
        self.in_use = self.loaded

    async def refused(self, adapter: Adapter, probe: Probe) -> tuple[int, str]:
        """Load an adapter that is refused; return status and type."""
        with pytest.raises(GatewayError) as caught:
            await self.load(adapter, probe)
        return caught.value.status, caught.value.error_type

    def publish(self, sample: str, name: str | None = None) -> Adapter:
        """Write the files of a sample adapter to the disk."""
        files = sample_files(sample)
        found = Adapter(name or sample, revision_of(digest_of(files)), 1)
        directory = self.engine.files(found.engine_id)
        directory.mkdir(parents=True)
        for file, content in files.items():
            (directory / file).write_bytes(content)
        return found


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


@pytest.fixture
def otter(instance: Instance) -> Adapter:
    return instance.publish("otter")


@pytest.fixture
def bison(instance: Instance) -> Adapter:
    return instance.publish("bison")


async def test_the_first_load_creates_a_record_that_names_its_conditions(
    instance: Instance, otter: Adapter
) -> None:
    await instance.load(otter, OTTER)
    conditions = Conditions(FACTS, BASE)
    ((key, body),) = instance.store.objects.items()
    assert (
        key == f"probes/{otter.revision}/{conditions.digest}.json" == record_key(otter.revision, conditions)
    )
    record = json.loads(body)
    assert record["conditions"]["engine"] == {
        "name": "vllm", "release": "0.32.0", "dtype": "float32", "device": "cpu",
    }  # fmt: skip
    assert (record["revision"], record["margin"], record["logprobs"]) == (
        otter.revision, LIMIT, [*OTTER.logprobs],
    )  # fmt: skip
    assert not instance.left_service


async def test_an_adapter_that_equals_the_base_is_refused_and_has_no_record(
    instance: Instance, otter: Adapter
) -> None:
    assert await instance.refused(otter, moved(PROBE, LIMIT * 0.9)) == (409, "adapter_without_effect")
    assert not instance.store.objects
    assert not instance.left_service


async def test_a_probe_unlike_its_record_takes_the_instance_out_of_service(
    tmp_path: Path, otter: Adapter, instance: Instance
) -> None:
    await instance.load(otter, OTTER)
    other = Instance(tmp_path, instance.store)
    assert await other.refused(otter, BISON) == (500, "wrong_adapter")
    assert other.left_service
    assert other.prover.wrong_adapters == 1


async def test_with_a_record_an_adapter_without_effect_is_a_wrong_adapter(
    tmp_path: Path, otter: Adapter, instance: Instance
) -> None:
    await instance.load(otter, OTTER)
    other = Instance(tmp_path, instance.store)
    assert await other.refused(otter, PROBE) == (500, "wrong_adapter")


async def test_other_conditions_have_another_record(
    tmp_path: Path, otter: Adapter, instance: Instance
) -> None:
    await instance.load(otter, OTTER)
    other = Instance(tmp_path, instance.store)
    other.engine.facts_now = EngineFacts("vllm", "0.33.0", "float32", "cpu")
    await other.load(otter, BISON)
    assert len(instance.store.objects) == 2


async def test_two_names_of_one_revision_share_the_record(instance: Instance, otter: Adapter) -> None:
    copy = instance.publish("otter", "copy")
    await instance.load(otter, OTTER)
    await instance.load(copy, OTTER)
    assert len(instance.store.objects) == 1
    assert not instance.left_service


async def test_another_revisions_probe_without_a_record_is_a_wrong_adapter(
    instance: Instance, otter: Adapter, bison: Adapter
) -> None:
    await instance.load(otter, OTTER)
    assert await instance.refused(bison, OTTER) == (500, "wrong_adapter")
    assert instance.left_service
    assert len(instance.store.objects) == 1


async def test_a_revision_that_left_the_instance_is_not_compared_with(
    instance: Instance, otter: Adapter, bison: Adapter
) -> None:
    await instance.load(otter, OTTER)
    instance.loaded = ()
    await instance.load(bison, OTTER)
    assert not instance.left_service


async def test_small_effects_may_be_equal(instance: Instance, otter: Adapter, bison: Adapter) -> None:
    small = moved(PROBE, LIMIT * (CLEAR - 1))
    await instance.load(otter, small)
    await instance.load(bison, small)
    assert not instance.left_service


async def test_the_same_weights_with_another_config_may_answer_alike(
    instance: Instance, otter: Adapter
) -> None:
    files = sample_files("otter", inference_mode=False)
    again = Adapter("again", revision_of(digest_of(files)), 1)
    instance.engine.files(again.engine_id).mkdir(parents=True)
    for file, content in files.items():
        (instance.engine.files(again.engine_id) / file).write_bytes(content)
    await instance.load(otter, OTTER)
    await instance.load(again, OTTER)
    assert again.revision != otter.revision
    assert not instance.left_service


async def test_files_exchanged_after_the_download_are_found_before_there_is_a_record(
    instance: Instance, otter: Adapter
) -> None:
    shutil.copy(ADAPTERS_DIR / "bison" / WEIGHTS_FILE, instance.engine.files(otter.engine_id))
    assert await instance.refused(otter, BISON) == (500, "wrong_adapter")
    assert not instance.store.objects


async def test_while_the_store_fails_adapters_are_served_and_compared_later(
    tmp_path: Path, otter: Adapter, instance: Instance
) -> None:
    await instance.load(otter, OTTER)
    other = Instance(tmp_path, instance.store)
    other.store.down = True
    await other.load(otter, BISON)
    await other.prover.repeat(otter.engine_id)
    assert not other.left_service
    other.store.down = False
    with pytest.raises(GatewayError):
        await other.prover.repeat(otter.engine_id)
    assert other.left_service


async def test_without_effect_is_found_while_the_store_fails(instance: Instance, otter: Adapter) -> None:
    instance.store.down = True
    assert await instance.refused(otter, PROBE) == (409, "adapter_without_effect")


async def test_a_damaged_record_is_not_written_over(instance: Instance, otter: Adapter) -> None:
    key = record_key(otter.revision, Conditions(FACTS, BASE))
    instance.store.objects[key] = b"{}"
    await instance.load(otter, OTTER)
    assert instance.store.objects == {key: b"{}"}


async def test_of_two_first_records_the_one_in_the_store_counts(
    tmp_path: Path, instance: Instance, otter: Adapter
) -> None:
    class LateStore(StubStore):
        async def read(self, key: str) -> bytes | None:
            found = await super().read(key)
            return found if self.asked[key] > 1 else None

    await instance.load(otter, OTTER)
    other = Instance(tmp_path, LateStore(instance.store.objects))
    assert await other.refused(otter, BISON) == (500, "wrong_adapter")


async def test_the_watch_goes_round_the_base_and_the_adapters_in_use(
    instance: Instance, otter: Adapter, bison: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("container.gateway.identity.prover.PAUSE_SECONDS", 0)
    await instance.prover.start()
    await instance.load(otter, OTTER)
    await instance.load(bison, BISON)
    unused = instance.publish("eagle")
    await instance.load(unused, moved(PROBE, 3.0))
    instance.in_use = (otter.engine_id, bison.engine_id)
    instance.engine.asked.clear()
    watching = asyncio.create_task(instance.prover.watch(0.9))
    while len(instance.engine.asked) < 6:  # noqa: ASYNC110 — it does not signal a change
        await asyncio.sleep(0)
    watching.cancel()
    first = instance.engine.asked[:6]
    assert set(first[:3]) == {None, otter.engine_id, bison.engine_id}
    assert first[:3] == first[3:]


async def test_the_watch_ends_with_the_first_wrong_adapter(
    instance: Instance, otter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("container.gateway.identity.prover.PAUSE_SECONDS", 0)
    await instance.prover.start()
    await instance.load(otter, OTTER)
    instance.engine.probes[otter.engine_id] = BISON
    watching = asyncio.create_task(instance.prover.watch(0.9))
    while not instance.left_service:  # noqa: ASYNC110 — it does not signal a change
        await asyncio.sleep(0)
    asked = len(instance.engine.asked)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(instance.engine.asked) == asked
    assert not watching.done(), "the end of a background task would end the container"
    watching.cancel()


async def test_failed_probes_prove_nothing_and_are_repeated(
    instance: Instance, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("container.gateway.identity.prover.PAUSE_SECONDS", 0)
    instance.engine.failures = [GatewayError.unreachable()]
    await instance.prover.start()
    assert instance.engine.asked == [None, None]
    instance.engine.failures = [GatewayError.unreachable()]
    with pytest.raises(GatewayError):
        await instance.prover.repeat(None)
    assert not instance.left_service


async def test_a_probe_under_another_models_name_is_a_wrong_adapter(instance: Instance) -> None:
    await instance.prover.start()
    instance.engine.failures = [GatewayError.wrong_adapter()]
    with pytest.raises(GatewayError):
        await instance.prover.repeat(None)
    assert instance.left_service


async def test_a_probe_near_the_margin_is_logged(
    instance: Instance, otter: Adapter, caplog: pytest.LogCaptureFixture
) -> None:
    await instance.load(otter, OTTER)
    with caplog.at_level(logging.WARNING):
        await instance.prover.prove(otter, moved(OTTER, LIMIT * 0.8))
    assert "near" in caplog.text
    assert not instance.left_service


@given(
    noise=st.lists(st.floats(-0.99, 0.99), min_size=2, max_size=2),
    effect=st.floats(-8, 8),
    dtype=st.sampled_from([*MARGINS, "int4"]),
)
async def test_noise_below_the_margin_never_alarms_and_an_effect_above_it_is_never_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: list[float], effect: float, dtype: str
) -> None:
    instance = Instance(tmp_path_factory.getbasetemp())
    instance.engine.facts_now = EngineFacts("vllm", "1", dtype, "gpu")
    adapter = Adapter("otter", "0123456789abcdef", 1)
    first = moved(PROBE, effect)
    limit = margin(dtype)
    if abs(effect) <= limit:
        assert await instance.refused(adapter, first) == (409, "adapter_without_effect")
    else:
        await instance.load(adapter, first)
        again = Probe(tuple(value + limit * each for value, each in zip(first.logprobs, noise, strict=True)))
        await instance.prover.prove(adapter, again)
        assert adapter_prefix("otter", adapter.revision) in instance.loaded
    assert not instance.left_service
