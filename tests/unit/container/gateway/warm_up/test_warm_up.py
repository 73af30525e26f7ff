"""Loads of a starting instance: which ones, in which order, and until when."""

import asyncio
import contextlib
import logging
import time
from pathlib import Path

import pytest

from adapters.store.layout import RegistryEntry, registry_key
from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter, Listed, RegistryReader
from container.gateway.errors import ADAPTER_LOAD_FAILED, GatewayError, adapter_error
from container.gateway.proof.probe import Probe
from container.gateway.warm_up.counts import WarmUpCounts
from container.gateway.warm_up.demand import HALF_LIFE_SECONDS, AdapterDemand
from container.gateway.warm_up.demand_list import demand_list, demand_prefix
from container.gateway.warm_up.publisher import DemandPublisher
from container.gateway.warm_up.warm_up import MAX_AGE_SECONDS, MAX_LISTS, WarmUp, WarmUpLimits
from tests.harness.probes import PROBE, accept
from tests.harness.registry_store import StubStore

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)

ENDPOINT, SIZE = "lora-dev", 100
PREFIX = demand_prefix(ENDPOINT)


class DatedStore(StubStore):
    """Objects with ages in seconds; a request for a key in `hanging` never ends."""

    def __init__(self) -> None:
        super().__init__({})
        self.ages: dict[str, float] = {}
        self.hanging: set[str] = set()

    async def read(self, key: str) -> bytes | None:
        """Return an object."""
        if key in self.hanging:
            await asyncio.Event().wait()
        return await super().read(key)

    async def list(self, prefix: str) -> list[Listed]:
        """Return the keys that begin with the prefix."""
        found = await super().list(prefix)
        return [Listed(each.key, int(time.time() - self.ages.get(each.key, 0.0))) for each in found]

    def publish(self, *names: str, size: int = SIZE, pinned: bool = False) -> None:
        """Register adapters."""
        labels = {"pinned": "true"} if pinned else {}
        for name in names:
            entry = RegistryEntry(name, "0" * 16, "0" * 64, 8, size, "base", "here", labels=labels)
            self.objects[registry_key(name)] = entry.to_json()

    def add_list(self, instance: str, weights: dict[str, float], age_seconds: float = 0.0) -> None:
        """Add the list of an instance."""
        key = f"{PREFIX}{instance}.json"
        self.objects[key] = demand_list(weights)
        self.ages[key] = age_seconds


class Engine:
    """Loads adapters when a test allows it, and records in which order it is used."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.used: list[str] = []
        self.broken: set[str] = set()
        self.go = asyncio.Event()
        self.go.set()

    async def load(self, engine_id: str) -> Probe:
        await self.go.wait()
        name = engine_id.split("/")[1]
        if name in self.broken:
            raise adapter_error(ADAPTER_LOAD_FAILED, "broken")
        self.used.append(name)
        self.files(engine_id).mkdir(parents=True)
        (self.files(engine_id) / "weights").write_bytes(b"x" * SIZE)
        return PROBE

    async def probe(self, engine_id: str) -> Probe:
        self.used.append(engine_id.split("/")[1])
        return PROBE

    async def unload(self, engine_id: str) -> None:
        pass

    def files(self, engine_id: str) -> Path:
        return self.directory / engine_id


class Started:
    """A starting instance with two slots in its engine and a disk for five adapters."""

    def __init__(self, directory: Path) -> None:
        self.store = DatedStore()
        self.engine = Engine(directory)
        self.counts = WarmUpCounts()
        self.loads: list[tuple[str, GatewayError | None]] = []
        self.cache = AdapterCache(
            self.engine,
            max_bytes=5 * SIZE,
            max_loads=1,
            max_rank=8,
            prove=accept,
            on_load=lambda adapter, seconds, error: self.loads.append((adapter.name, error)),
        )

    async def warm_up(self, seconds: float = 5.0) -> None:
        await WarmUp(
            self.store,
            RegistryReader(self.store, cache_seconds=5),
            self.cache,
            self.engine.probe,
            self.counts,
            endpoint=ENDPOINT,
            seconds=seconds,
            limits=WarmUpLimits(slots=2, disk_bytes=5 * SIZE, loads=1),
        ).run()


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


async def test_the_most_wanted_are_loaded_first_and_used_last(started: Started) -> None:
    started.store.publish("often", "seldom", "middling")
    started.store.add_list("one", {"often": 3, "seldom": 1})
    started.store.add_list("two", {"often": 3, "middling": 5})
    await started.warm_up()
    # The engine has two slots: whatever it drops first is not "often".
    assert started.engine.used == ["often", "middling", "seldom", "middling", "often"]
    assert started.counts.adapters == 3
    assert 0 < started.counts.seconds < 5
    assert started.counts.errors == 0


async def test_pinned_adapters_come_before_all(started: Started) -> None:
    started.store.publish("often")
    started.store.publish("pinned", pinned=True)
    started.store.add_list("one", {"often": 9, "pinned": 1})
    await started.warm_up()
    assert started.engine.used == ["pinned", "often", "often", "pinned"]


async def test_a_list_counts_less_the_older_it_is(started: Started) -> None:
    started.store.publish("now", "before", "yesterday")
    started.store.add_list("new", {"now": 3})
    started.store.add_list("old", {"before": 5}, age_seconds=HALF_LIFE_SECONDS)
    started.store.add_list("gone", {"yesterday": 1e6}, age_seconds=MAX_AGE_SECONDS + 60)
    await started.warm_up()
    assert started.engine.used == ["now", "before", "before", "now"]


async def test_no_more_is_loaded_than_the_disk_holds(started: Started) -> None:
    started.store.publish(*"abcdefg")
    started.store.publish("huge", size=10 * SIZE)
    started.store.add_list("one", {"huge": 99.0} | {name: 50.0 - n for n, name in enumerate("abcdefg")})
    await started.warm_up()
    assert [name for name, _ in started.loads] == [*"abcde"]
    assert started.cache.evictions == 0


async def test_removed_and_broken_adapters_are_left_out(started: Started) -> None:
    started.store.publish("broken", "fine")
    started.engine.broken = {"broken"}
    started.store.add_list("one", {"removed": 9, "broken": 8, "fine": 1})
    await started.warm_up()
    assert started.engine.used == ["fine", "fine"]
    assert started.counts.adapters == 1
    assert started.cache.load_failures == 1


async def test_the_first_instance_of_an_endpoint_has_nothing_to_wait_for(started: Started) -> None:
    await started.warm_up(seconds=600)
    assert started.counts == WarmUpCounts(seconds=started.counts.seconds)
    assert started.counts.seconds < 1
    assert dict(started.store.asked) == {PREFIX: 1}


async def test_without_seconds_nothing_is_read(started: Started) -> None:
    started.store.add_list("one", {"otter": 1})
    await started.warm_up(seconds=0)
    assert not started.store.asked


@pytest.mark.parametrize("hanging", ["list", "read", "registry", "load"])
async def test_a_start_is_held_up_by_the_given_seconds_at_most(started: Started, hanging: str) -> None:
    started.store.publish("otter")
    started.store.add_list("one", {"otter": 1})
    keys = {"list": PREFIX, "read": f"{PREFIX}one.json", "registry": registry_key("otter")}
    if hanging == "load":
        started.engine.go.clear()
    else:
        started.store.hanging.add(keys[hanging])
    await started.warm_up(seconds=0.05)
    assert started.counts.seconds >= 0.05 * 0.75
    assert started.counts.adapters == 0
    if hanging == "load":
        # A load that has begun is not broken off: a request may already wait for it.
        started.engine.go.set()
        async with started.cache.keep(Adapter("otter", "0" * 16, SIZE), contextlib.nullcontext):
            pass
        assert started.loads == [("otter", None)]


async def test_a_store_that_is_down_does_not_fail_a_start(started: Started) -> None:
    started.store.down = True
    await started.warm_up()
    assert started.counts.errors == 1


async def test_a_defect_does_not_fail_a_start(started: Started) -> None:
    async def broken(prefix: str) -> list[Listed]:
        raise ZeroDivisionError

    started.store.list = broken  # type: ignore[method-assign]
    await started.warm_up()
    assert started.counts.adapters == 0


async def test_a_damaged_list_is_ignored_and_the_others_are_not(
    started: Started, caplog: pytest.LogCaptureFixture
) -> None:
    started.store.publish("otter")
    started.store.add_list("good", {"otter": 1})
    started.store.objects[f"{PREFIX}bad.json"] = b'{"adapters": {"otter": NaN}}'
    with caplog.at_level(logging.INFO, "container.gateway.warm_up"):
        await started.warm_up()
    assert started.counts.adapters == 1
    assert started.counts.errors == 1
    assert [record.getMessage().split(" in ")[0] for record in caplog.records] == [
        f"{PREFIX}bad.json is ignored: NaN is not a weight",
        "warm-up: loaded 1 of 1 wanted adapters",
    ]


async def test_only_the_newest_lists_are_read(started: Started) -> None:
    for number in range(MAX_LISTS + 5):
        started.store.add_list(f"{number:03}", {"otter": 1}, age_seconds=number * 60)
    await started.warm_up()
    read = {key for key in started.store.asked if key.startswith(PREFIX) and key != PREFIX}
    assert read == {f"{PREFIX}{number:03}.json" for number in range(MAX_LISTS)}


async def test_what_one_instance_publishes_the_next_one_loads(started: Started) -> None:
    started.store.publish("otter", "heron")
    demand = AdapterDemand()
    for name in ("otter", "heron", "otter"):
        demand.add(name)
    await DemandPublisher(started.store, demand, WarmUpCounts(), endpoint=ENDPOINT).publish()
    await started.warm_up()
    assert started.engine.used == ["otter", "heron", "heron", "otter"]


async def test_nothing_is_written_without_new_requests() -> None:
    store, demand = DatedStore(), AdapterDemand()
    publisher = DemandPublisher(store, demand, WarmUpCounts(), endpoint=ENDPOINT)
    await publisher.publish()
    assert not store.objects
    demand.add("otter")
    await publisher.publish()
    await publisher.publish()
    (key,) = store.objects
    assert store.asked == {key: 1}
    demand.add("otter")
    await publisher.publish()
    assert store.asked == {key: 2}


async def test_the_first_lists_of_an_instance_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the load rises, the next instance starts soon."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        if len(waits) == 5:
            raise asyncio.CancelledError
        waits.append(seconds)

    monkeypatch.setattr("container.gateway.warm_up.publisher.asyncio.sleep", sleep)
    monkeypatch.setattr("container.gateway.warm_up.publisher.random.uniform", lambda *_: 1.0)
    publisher = DemandPublisher(DatedStore(), AdapterDemand(), WarmUpCounts(), endpoint=ENDPOINT)
    with pytest.raises(asyncio.CancelledError):
        await publisher.run()
    assert waits == [5, 10, 20, 30, 30]


async def test_two_instances_write_two_lists() -> None:
    store, demand = DatedStore(), AdapterDemand()
    demand.add("otter")
    for _ in range(2):
        await DemandPublisher(store, demand, WarmUpCounts(), endpoint=ENDPOINT).publish()
    assert len(store.objects) == 2


async def test_a_failed_write_is_logged_once_counted_and_made_up_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, demand, counts = DatedStore(), AdapterDemand(), WarmUpCounts()
    publisher = DemandPublisher(store, demand, counts, endpoint=ENDPOINT)
    demand.add("otter")
    store.down = True
    await publisher.publish()
    await publisher.publish()
    assert counts.errors == 2
    assert len(caplog.records) == 1
    store.down = False
    await publisher.publish()
    assert len(store.objects) == 1


async def test_an_instance_that_stops_does_not_wait_for_a_store_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hanging(DatedStore):
        async def write(self, key: str, body: bytes) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("container.gateway.warm_up.publisher.LAST_WRITE_SECONDS", 0.01)
    demand = AdapterDemand()
    demand.add("otter")
    await DemandPublisher(Hanging(), demand, WarmUpCounts(), endpoint=ENDPOINT).publish_last()
