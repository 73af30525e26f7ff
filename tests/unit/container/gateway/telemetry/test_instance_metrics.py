"""The log line of an instance's state, and its agreement with the events."""

import asyncio
import json
import shutil
from functools import partial
from pathlib import Path
from select import PIPE_BUF
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.store.layout import RegistryEntry, registry_key
from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, RegistryReader
from container.gateway.adapters.residency import USES, Residency, ResidencyReader
from container.gateway.admission import Admission
from container.gateway.engine.readiness import EngineState, Readiness
from container.gateway.errors import (
    ADAPTER_INCOMPATIBLE,
    ADAPTER_LOAD_FAILED,
    ADAPTER_MISSING,
    GatewayError,
    adapter_error,
)
from container.gateway.identity.prover import Prover
from container.gateway.proof.conditions import BaseModel
from container.gateway.proof.probe import Probe
from container.gateway.request_context import RequestContext
from container.gateway.telemetry.instance_metrics import InstanceMetrics, InstanceParts
from container.gateway.telemetry.names import INSTANCE_METRICS, RESIDENCY_METRICS
from container.gateway.warm_up.counts import WarmUpCounts
from tests.harness.probes import PROBE, ProbedEngine, accept, ready
from tests.harness.registry_store import StubStore
from tests.unit.container.gateway.telemetry.emf import check_emf

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)

REVISION = "0" * 16
SIZE = 100
ENTRY = RegistryEntry("otter", REVISION, REVISION * 4, 8, 1, "base", "here").to_json()


class StubLoader:
    """Loads adapters when a test allows it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.failure: GatewayError | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def load(self, engine_id: str) -> Probe:
        await self.go.wait()
        if self.failure:
            raise self.failure
        self.files(engine_id).mkdir(parents=True)
        (self.files(engine_id) / "weights").write_bytes(b"x" * SIZE)
        return PROBE

    async def unload(self, engine_id: str) -> bool:
        return True

    async def pin(self, engine_id: str) -> bool:
        return True

    def files(self, engine_id: str) -> Path:
        return self.directory / engine_id


class Instance:
    """The parts whose state is emitted; the cache holds two adapters."""

    def __init__(self, directory: Path) -> None:
        self.clock = 0.0
        self.store = StubStore({registry_key("otter"): ENTRY})
        self.engine = StubLoader(directory)
        # It is not asked anything here.
        self.readiness = Readiness(self.engine, idle_seconds=1, silence_seconds=1, prepare=ready)  # type: ignore[arg-type]
        self.admission = Admission(running=1, queued=1, adapters=1)
        self.registry = RegistryReader(self.store, cache_seconds=5, clock=lambda: self.clock)
        self.cache = AdapterCache(
            self.engine,
            max_bytes=2 * SIZE,
            max_loads=1,
            max_rank=8,
            prove=accept,
            on_load=lambda adapter, seconds, error: None,
        )
        self.warm_up = WarmUpCounts()
        self.report: Residency | None = None
        self.residency = ResidencyReader(self.reported)
        self.probed = ProbedEngine(directory)
        self.prover = Prover(
            self.probed,
            self.store,
            BaseModel("base", "", ""),
            residents=lambda: self.cache,
            on_wrong_adapter=self.readiness.leave_service,
        )
        self.state = InstanceMetrics(
            endpoint="lora-dev",
            variant="AllTraffic",
            parts=InstanceParts(
                self.readiness,
                self.admission,
                self.registry,
                self.cache,
                self.residency,
                self.warm_up,
                self.prover,
            ),
            cache_dir=directory,
        )

    async def reported(self) -> Residency | None:
        """Report of the engine."""
        return self.report

    def line(self) -> dict[str, Any]:
        """The next line."""
        found: dict[str, Any] = json.loads(self.state.emf_line())
        check_emf(found)
        return found

    def gauge(self, name: str) -> float:
        """Return a gauge of the Prometheus endpoint."""
        families = text_string_to_metric_families(self.state.prometheus().decode())
        (value,) = [
            each.value for family in families for each in family.samples if each.name == f"lora_{name}"
        ]
        return value

    async def use(self, name: str) -> None:
        waiting = partial(self.admission.waiting_for_load, RequestContext("/", adapter=name))
        async with self.cache.keep(Adapter(name, REVISION, SIZE, 8), waiting):
            pass

    async def hold_engine_slot(self, go: asyncio.Event) -> None:
        with self.admission.admit():
            async with self.admission.engine_slot(RequestContext("/"), None):
                await go.wait()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def ended(status: int, error: str | None = None) -> RequestContext:
    context = RequestContext("/invocations")
    context.finish(status, error)
    return context


async def test_line_has_exactly_these_metrics_for_whole_variant(instance: Instance) -> None:
    line = instance.line()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "LoraServing"
    assert directive["Dimensions"] == [["Endpoint", "Variant"]]
    assert (line["Endpoint"], line["Variant"]) == ("lora-dev", "AllTraffic")
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == INSTANCE_METRICS
    assert set(line) == {"_aws", "Endpoint", "Variant", *INSTANCE_METRICS}
    quiet = set(INSTANCE_METRICS) - {"Instances", "DiskFreeBytes"}
    assert line["Instances"] == 1
    assert {name for name in quiet if line[name] != 0} == set(), "nothing has happened, and that is emitted"


async def test_the_line_is_one_line_that_a_pipe_keeps_together(instance: Instance) -> None:
    line = instance.state.emf_line()
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert len(line) < PIPE_BUF // 2


async def test_an_instance_that_ends_emits_its_last_events_and_does_not_count_as_one(
    instance: Instance,
) -> None:
    instance.state.served(ended(503, "engine_unavailable"))
    line = json.loads(instance.state.last_emf_line())
    check_emf(line)
    assert set(line) == {"_aws", "Endpoint", "Variant", *INSTANCE_METRICS} - {"Instances", "EngineReady"}
    assert line["ServerErrors"] == 1


@pytest.mark.parametrize("state", EngineState, ids=lambda state: state.name)
async def test_the_engine_is_ready_when_ping_says_so(instance: Instance, state: EngineState) -> None:
    instance.readiness.state = state
    ready = 1
    try:
        instance.readiness.check()
    except GatewayError:
        ready = 0
    assert instance.line()["EngineReady"] == instance.gauge("engine_ready") == ready
    assert ready == (state is EngineState.READY)


async def test_the_peaks_at_engine_and_in_queue_are_emitted_also_when_the_requests_have_ended(
    instance: Instance,
) -> None:
    go = asyncio.Event()
    requests = [asyncio.create_task(instance.hold_engine_slot(go)) for _ in range(2)]
    await asyncio.sleep(0)
    assert (instance.gauge("requests_at_engine"), instance.gauge("requests_waiting")) == (1, 1)
    assert instance.gauge("requests_inside") == 2
    go.set()
    await asyncio.gather(*requests)
    assert instance.gauge("requests_at_engine") == instance.gauge("requests_waiting") == 0
    line = instance.line()
    assert (line["RequestsInside"], line["RequestsWaiting"]) == (1, 1)
    line = instance.line()
    assert (line["RequestsInside"], line["RequestsWaiting"]) == (0, 0)


async def test_loads_that_wait_for_another_to_end_are_emitted(instance: Instance) -> None:
    instance.engine.go.clear()
    callers = [asyncio.create_task(instance.use(name)) for name in ("a", "b")]
    await asyncio.sleep(0.01)
    assert instance.gauge("adapter_loads_waiting") == 1
    instance.engine.go.set()
    await asyncio.gather(*callers)
    assert instance.line()["AdapterLoadsWaiting"] == 1
    await instance.use("c")
    assert instance.line()["AdapterLoadsWaiting"] == 0, "who loads at once has not waited"


async def test_files_on_the_disk_and_removals_are_emitted(instance: Instance) -> None:
    for name in ("a", "b"):
        await instance.use(name)
    line = instance.line()
    assert (line["AdapterCacheAdapters"], line["AdapterCacheBytes"]) == (2, 2 * SIZE)
    assert line["AdapterEvictions"] == 0
    for name in ("c", "d", "d", "a"):
        await instance.use(name)
    line = instance.line()
    assert (line["AdapterCacheAdapters"], line["AdapterCacheBytes"]) == (2, 2 * SIZE)
    assert line["AdapterEvictions"] == instance.gauge("adapter_evictions_total") == 3
    assert (instance.gauge("adapter_cache_adapters"), instance.gauge("adapter_cache_bytes")) == (
        2,
        2 * SIZE,
    )


@pytest.mark.parametrize(
    ("failure", "counted"),
    [
        (adapter_error(ADAPTER_MISSING, "no weights"), 1),
        (adapter_error(ADAPTER_LOAD_FAILED, "broken"), 1),
        (GatewayError.unreachable(), 1),
        (GatewayError.wrong_adapter(), 1),
        (adapter_error(ADAPTER_INCOMPATIBLE, "rank 64"), 0),
        (None, 0),
    ],
    ids=lambda each: each.error_type if isinstance(each, GatewayError) else str(each),
)
async def test_loads_that_fail_for_a_reason_of_ours_are_emitted(
    instance: Instance, failure: GatewayError | None, counted: int
) -> None:
    instance.engine.failure = failure
    # Three who ask together wait for one load.
    await asyncio.gather(*(instance.use("a") for _ in range(3)), return_exceptions=True)
    assert instance.line()["AdapterLoadFailures"] == counted
    assert instance.gauge("adapter_load_failures_total") == counted
    assert instance.line()["AdapterLoadFailures"] == 0


async def test_one_broken_adapter_is_no_share_however_often_it_is_requested(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("container.gateway.adapters.cache.FAILURE_SECONDS", 0)
    instance.engine.failure = adapter_error(ADAPTER_LOAD_FAILED, "broken")
    for _ in range(3):
        await asyncio.gather(instance.use("broken"), return_exceptions=True)
    assert instance.gauge("failing_adapters_percent") == 0
    line = instance.line()
    assert (line["AdapterLoadFailures"], line["FailingAdapters"]) == (3, 0)


@pytest.mark.parametrize(
    ("loaded", "broken", "percent"),
    [((), ("a", "b"), 100), (("x",), ("a", "b"), 67), (("x",), ("a", "b", "c"), 75), (("x",), ("a",), 0)],
    ids=str,
)
async def test_the_share_of_different_adapters_that_fail_is_emitted_once(
    instance: Instance, loaded: tuple[str, ...], broken: tuple[str, ...], percent: int
) -> None:
    for name in loaded:
        await instance.use(name)
    assert instance.line()["FailingAdapters"] == 0
    instance.engine.failure = adapter_error(ADAPTER_LOAD_FAILED, "broken")
    for name in broken * 2:
        await asyncio.gather(instance.use(name), return_exceptions=True)
    assert instance.gauge("failing_adapters_percent") == percent
    assert instance.line()["FailingAdapters"] == percent
    assert instance.line()["FailingAdapters"] == 0, "none was requested since"


async def test_adapters_that_load_again_or_that_the_engine_cannot_serve_are_no_part_of_the_share(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("container.gateway.adapters.cache.FAILURE_SECONDS", 0)
    instance.engine.failure = adapter_error(ADAPTER_LOAD_FAILED, "the store was away")
    await asyncio.gather(*(instance.use(name) for name in ("a", "b")), return_exceptions=True)
    instance.engine.failure = None
    await instance.use("a")
    instance.engine.failure = adapter_error(ADAPTER_INCOMPATIBLE, "rank 64")
    await asyncio.gather(*(instance.use(name) for name in ("c", "d")), return_exceptions=True)
    assert instance.line()["FailingAdapters"] == 0


async def test_answers_from_an_entry_that_could_not_be_refreshed_are_emitted(instance: Instance) -> None:
    for _ in range(3):
        await instance.registry.resolve("otter")
    line = instance.line()
    assert (line["RegistryStaleAnswers"], line["RegistryErrors"]) == (0, 0)
    instance.store.down = True
    instance.clock = 6
    for _ in range(3):
        await instance.registry.resolve("otter")
    line = instance.line()
    assert (line["RegistryStaleAnswers"], line["RegistryErrors"]) == (3, 1), "asked once, answered thrice"
    instance.store.down = False
    instance.clock = 12
    for _ in range(3):
        await instance.registry.resolve("otter")
    line = instance.line()
    assert (line["RegistryStaleAnswers"], line["RegistryErrors"]) == (0, 0)
    assert instance.gauge("registry_stale_answers_total") == 3
    assert instance.gauge("registry_errors_total") == 1


async def test_requests_to_store_that_fail_are_emitted_and_unknown_names_are_none(
    instance: Instance,
) -> None:
    with pytest.raises(GatewayError):
        await instance.registry.resolve("nobody")
    assert instance.line()["RegistryErrors"] == 0
    instance.store.objects[registry_key("otter")] = b"damaged"
    with pytest.raises(GatewayError):
        await instance.registry.resolve("otter")
    instance.store.down = True
    with pytest.raises(GatewayError):
        await instance.registry.resolve("otter")
    with pytest.raises(GatewayError):
        await instance.registry.names()
    line = instance.line()
    assert (line["RegistryErrors"], line["RegistryStaleAnswers"]) == (3, 0)


async def test_ends_of_requests_are_emitted_where_they_matter(instance: Instance) -> None:
    for context in (
        ended(200), ended(404, "adapter_not_found"), ended(424, "adapter_load_failed"), ended(429, "overloaded"),
        ended(499, "client_disconnected"), ended(500, "wrong_adapter"), ended(500, "internal"),
        ended(504, "timeout"), ended(429, "overloaded"),
    ):  # fmt: skip
        instance.state.served(context)
    line = instance.line()
    assert (line["RequestsRefused"], line["ServerErrors"], line["WrongAdapters"]) == (2, 3, 1)
    line = instance.line()
    assert (line["RequestsRefused"], line["ServerErrors"], line["WrongAdapters"]) == (0, 0, 0)
    totals = ("requests_refused_total", "server_errors_total", "wrong_adapters_total")
    assert [instance.gauge(name) for name in totals] == [2, 3, 1]


@pytest.mark.parametrize("place", ["", "not/yet/there"])
async def test_the_free_bytes_are_those_of_the_disk_with_the_adapters(tmp_path: Path, place: str) -> None:
    instance = Instance(tmp_path / place)
    free = shutil.disk_usage(tmp_path).free
    for free_bytes in (instance.line()["DiskFreeBytes"], instance.gauge("disk_free_bytes")):
        assert abs(free_bytes - free) < 1e9, "others write to the disk meanwhile"


async def test_a_disk_that_can_not_be_asked_ends_nothing_and_has_no_room(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Instance(tmp_path / "file" / "cache").line()["DiskFreeBytes"] == 0


async def test_a_warm_up_is_in_one_line_and_stays_in_the_totals(instance: Instance) -> None:
    instance.warm_up.adapters, instance.warm_up.seconds, instance.warm_up.errors = 48, 12.3456, 2
    line = instance.line()
    assert (line["WarmedAdapters"], line["WarmUpTime"], line["DemandErrors"]) == (48, 12.346, 2)
    later = instance.line()
    assert (later["WarmedAdapters"], later["WarmUpTime"], later["DemandErrors"]) == (0, 0, 0)
    assert instance.gauge("warmed_adapters_total") == 48


async def test_what_the_engine_reports_is_emitted_summed_over_the_adapters(instance: Instance) -> None:
    assert (instance.line()["AdapterSlotHits"], instance.line()["AdaptersInSlots"]) == (0, 0)
    instance.report = Residency(
        frozenset({"a"}), frozenset({"a", "b"}), {name: dict.fromkeys(USES, 2) for name in "ab"}
    )
    await instance.residency.refresh()
    line = instance.line()
    assert (line["AdaptersInSlots"], line["AdaptersInMemory"]) == (1, 2)
    assert {line[name] for name in RESIDENCY_METRICS.values()} == {4}
    assert instance.line()["AdapterDiskLoads"] == 0
    assert (instance.gauge("slot_hits_total"), instance.gauge("adapters_in_slots")) == (4, 1)


async def test_a_probe_of_another_adapters_weights_is_counted_and_the_engine_is_not_ready(
    instance: Instance,
) -> None:
    await instance.prover.start()
    instance.readiness.state = EngineState.READY
    instance.probed.probes[None] = Probe((-3.0, -4.0))
    with pytest.raises(GatewayError):
        await instance.prover.repeat(None)
    line = instance.line()
    assert (line["WrongAdapters"], line["EngineReady"]) == (1, 0)
    assert instance.line()["WrongAdapters"] == 0
