"""Loading of adapters, and their removal from the disk."""

import asyncio
import contextlib
import glob
import random
import shutil
import traceback
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from container.gateway.adapters.cache import AdapterCache
from container.gateway.adapters.registry import Adapter
from container.gateway.admission import Admission
from container.gateway.errors import (
    ADAPTER_LOAD_FAILED,
    ADAPTER_WITHOUT_EFFECT,
    GatewayError,
    adapter_error,
)
from container.gateway.proof.probe import Probe
from container.gateway.request_context import Phase, RequestContext
from tests.harness.probes import PROBE, accept

#: A wait that has no end fails its test after 10 s.
pytestmark = pytest.mark.timeout(10, func_only=True)

SIZE = 100
REVISION = "0123456789abcdef"


def adapter(name: str, size: int = SIZE, rank: int | None = 8) -> Adapter:
    return Adapter(name, REVISION, size, rank)


class DiskLoader:
    """Writes files as an engine would; a load waits until `go` is set."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.loaded: list[str] = []
        self.unloaded: list[str] = []
        self.pinned: list[str] = []
        self.frees = True
        self.failure: GatewayError | None = None
        self.at_once = self.most_at_once = 0
        self.go = asyncio.Event()
        self.go.set()

    async def load(self, engine_id: str) -> Probe:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await self.go.wait()
        self.at_once -= 1
        if self.failure:
            raise self.failure
        self.loaded.append(engine_id)
        self.files(engine_id).mkdir(parents=True)
        (self.files(engine_id) / "adapter_model.safetensors").write_bytes(b"x" * SIZE)
        return PROBE

    async def unload(self, engine_id: str) -> bool:
        self.unloaded.append(engine_id)
        return self.frees

    async def pin(self, engine_id: str) -> bool:
        if len(self.pinned) < 2:
            self.pinned.append(engine_id)
        return engine_id in self.pinned

    def files(self, engine_id: str) -> Path:
        return self.directory / engine_id

    def on_disk(self) -> set[str]:
        # `glob` takes no notice of a directory that goes meanwhile.
        found = glob.glob(f"{self.directory}/adapters/*/*/*.safetensors")  # noqa: PTH207
        return {Path(path).parts[-3] for path in found}


class Subject:
    def __init__(self, directory: Path, *, adapters: int = 3, max_loads: int = 2) -> None:
        self.loader = DiskLoader(directory)
        self.reported: list[tuple[str, GatewayError | None]] = []
        self.admission = Admission(running=100, queued=100, adapters=100)
        self.cache = AdapterCache(
            self.loader,
            max_bytes=adapters * SIZE,
            max_loads=max_loads,
            max_rank=16,
            prove=accept,
            on_load=lambda loaded, seconds, error: self.reported.append((loaded.name, error)),
        )

    @contextlib.asynccontextmanager
    async def keep(self, name: str) -> AsyncIterator[None]:
        waiting = partial(self.admission.waiting_for_load, RequestContext("/"))
        async with self.cache.keep(adapter(name), waiting):
            yield

    async def use(self, *names: str) -> None:
        for name in names:
            async with self.keep(name):
                assert name in self.loader.on_disk()


async def test_an_adapter_is_loaded_once_for_all_who_ask(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    await asyncio.gather(*(subject.use("otter") for _ in range(20)))
    await subject.use("otter")
    assert subject.loader.loaded == [adapter("otter").engine_id]
    assert subject.reported == [("otter", None)]


async def test_the_least_recently_used_makes_room(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=3)
    await subject.use("a", "b", "c", "a", "d")
    assert subject.loader.on_disk() == {"a", "c", "d"}
    assert subject.loader.unloaded == [adapter("b").engine_id]
    assert (subject.cache.bytes, subject.cache.count) == (3 * SIZE, 3)
    await subject.use("b")
    assert subject.loader.on_disk() == {"a", "d", "b"}, "what had to go is loaded again"


async def test_what_is_in_use_stays_and_the_next_one_waits_for_room(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=1)
    async with subject.keep("a"):
        waiting = asyncio.create_task(subject.use("b"))
        await asyncio.sleep(0.05)
        assert subject.loader.on_disk() == {"a"}
        await subject.use("a")
    await waiting
    assert subject.loader.on_disk() == {"b"}


async def test_the_disk_is_never_fuller_than_its_bound(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=4, max_loads=3)
    names = [f"adapter-{number}" for number in range(12)]

    async def client(offset: int) -> None:
        for step in range(len(names)):
            await subject.use(names[(offset * 5 + step) % len(names)])
            assert len(subject.loader.on_disk()) <= 4
            assert subject.cache.bytes <= 4 * SIZE

    await asyncio.gather(*(client(offset) for offset in range(4)))


async def test_a_cold_load_makes_no_other_request_wait(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    await subject.use("warm")
    subject.loader.go.clear()
    context = RequestContext("/")
    cold = asyncio.create_task(_enter(subject, adapter("cold"), context))
    await asyncio.sleep(0)
    assert context.phase is Phase.LOADING
    await subject.use("warm")
    assert not cold.done()
    subject.loader.go.set()
    await cold


async def test_only_so_many_loads_run_at_once(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=10, max_loads=2)
    subject.loader.go.clear()
    tasks = [asyncio.create_task(subject.use(name)) for name in "abcdef"]
    await asyncio.sleep(0.05)
    assert subject.loader.at_once == 2
    subject.loader.go.set()
    await asyncio.gather(*tasks)
    assert subject.loader.most_at_once == 2


async def test_a_load_continues_when_its_clients_have_disconnected(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    subject.loader.go.clear()
    caller = asyncio.create_task(subject.use("otter"))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.sleep(0.01)
    subject.loader.go.set()
    await subject.use("otter")
    assert len(subject.loader.loaded) == 1


async def test_a_failed_load_is_reported_to_all_and_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject(tmp_path)
    monkeypatch.setattr("container.gateway.adapters.cache.FAILURE_SECONDS", 0.2)
    subject.loader.failure = adapter_error(ADAPTER_LOAD_FAILED, "broken")
    results = await asyncio.gather(*(subject.use("otter") for _ in range(3)), return_exceptions=True)
    assert results == [subject.loader.failure] * 3
    with pytest.raises(GatewayError):
        await subject.use("otter")
    assert subject.reported == [("otter", subject.loader.failure)], "once"
    subject.loader.failure = None
    await asyncio.sleep(0.2)
    await subject.use("otter")


@pytest.mark.parametrize(
    ("asked", "reason"), [(adapter("otter", rank=17), "rank 17"), (adapter("otter", size=301), "301 bytes")]
)
async def test_what_can_never_fit_is_409_and_not_loaded(tmp_path: Path, asked: Adapter, reason: str) -> None:
    subject = Subject(tmp_path, adapters=3)
    with pytest.raises(GatewayError, match=reason) as caught:
        await _enter(subject, asked, RequestContext("/"))
    assert (caught.value.status, caught.value.error_type) == (409, "adapter_incompatible")
    assert not subject.reported


async def test_an_adapter_that_the_engine_has_lost_is_loaded_again(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    async with subject.keep("otter"):
        subject.cache.lost(adapter("otter"))
    (subject.loader.files(adapter("otter").engine_id) / "adapter_model.safetensors").unlink()
    subject.loader.files(adapter("otter").engine_id).rmdir()
    await subject.use("otter")
    assert len(subject.loader.loaded) == 2


async def test_a_request_at_the_moment_of_a_removal_stops_nothing(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=1)
    await subject.use("a")
    remove_files = subject.cache._remove_files
    late: list[asyncio.Task[None]] = []

    async def then_ask(engine_id: str) -> None:
        await remove_files(engine_id)
        # In the same step of the event loop in which the removal ends.
        late.append(asyncio.create_task(subject.use("a")))

    subject.cache._remove_files = then_ask  # type: ignore[method-assign]
    await subject.use("b")
    subject.cache._remove_files = remove_files  # type: ignore[method-assign]
    await asyncio.gather(*late)


@pytest.mark.parametrize(("adapters", "names", "clients"), [(1, 2, 4), (2, 8, 8), (4, 20, 20), (8, 20, 16)])
@pytest.mark.parametrize("seed", range(3))
async def test_under_pressure_all_are_served_and_no_file_goes_while_it_is_used(
    tmp_path: Path, adapters: int, names: int, clients: int, seed: int
) -> None:
    rng = random.Random(seed)

    subject = Subject(tmp_path, adapters=adapters)
    load, unload = subject.loader.load, subject.loader.unload

    async def slow_load(engine_id: str) -> None:
        await asyncio.sleep(rng.random() * 0.003)
        await load(engine_id)

    async def slow_unload(engine_id: str) -> bool:
        await asyncio.sleep(rng.random() * 0.003)
        return await unload(engine_id)

    subject.loader.load, subject.loader.unload = slow_load, slow_unload  # type: ignore[method-assign]

    async def client() -> None:
        for _ in range(10):
            name = f"n{rng.randrange(names)}"
            async with subject.keep(name):
                assert name in subject.loader.on_disk()
                await asyncio.sleep(rng.random() * 0.004)
                assert name in subject.loader.on_disk()

    await asyncio.gather(*(client() for _ in range(clients)))
    assert subject.cache.bytes == len(subject.loader.on_disk()) * SIZE <= adapters * SIZE


async def test_a_failure_that_is_reported_again_keeps_no_reference_to_a_request(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    subject.loader.failure = adapter_error(ADAPTER_LOAD_FAILED, "broken")
    for _ in range(50):
        with pytest.raises(GatewayError):
            await subject.use("otter")
    assert len(traceback.extract_tb(subject.loader.failure.__traceback__)) < 10


async def test_what_a_failed_load_left_on_the_disk_is_removed(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    left = subject.loader.files(adapter("otter").engine_id)
    left.mkdir(parents=True)
    (left / "adapter_model.safetensors").write_bytes(b"damaged")
    subject.loader.failure = adapter_error(ADAPTER_LOAD_FAILED, "broken")
    with pytest.raises(GatewayError):
        await subject.use("otter")
    assert not subject.loader.on_disk()


async def test_an_adapter_that_no_request_waits_for_any_more_is_not_loaded(tmp_path: Path) -> None:
    subject = Subject(tmp_path, max_loads=1)
    subject.loader.go.clear()
    callers = [asyncio.create_task(subject.use(name)) for name in "abcdefgh"]
    await asyncio.sleep(0.01)
    for caller in callers:
        caller.cancel()
    await asyncio.sleep(0.01)
    subject.loader.go.set()
    await subject.use("z")
    assert subject.loader.loaded == [adapter(name).engine_id for name in "az"], "a load in progress continues"


async def test_an_adapter_that_is_lost_to_one_stays_for_those_who_use_it(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=1)
    async with subject.keep("a"):
        subject.cache.lost(adapter("a"))
        shutil.rmtree(subject.loader.files(adapter("a").engine_id))
        await subject.use("a")
        waiting = asyncio.create_task(subject.use("b"))
        await asyncio.sleep(0.02)
        assert subject.loader.on_disk() == {"a"}
    await waiting


async def test_a_pinned_adapter_is_loaded_and_not_removed_for_others(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=2)
    assert await subject.cache.pin(adapter("a"))
    await subject.use("b", "c", "d")
    assert subject.loader.on_disk() == {"a", "d"}
    assert subject.loader.pinned == [adapter("a").engine_id]


async def test_pinned_adapters_leave_half_of_the_disk_and_what_the_engine_keeps(tmp_path: Path) -> None:
    subject = Subject(tmp_path, adapters=3)
    assert [await subject.cache.pin(adapter(name)) for name in "abb"] == [True, False, False]
    engine = Subject(tmp_path / "engine", adapters=10)
    # The engine of these tests keeps two.
    assert [await engine.cache.pin(adapter(name)) for name in "abc"] == [True, True, False]
    await engine.use("c")


async def test_a_retired_adapter_is_unloaded_and_removed_once_no_request_uses_it(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    await subject.use("a")
    assert await subject.cache.pin(adapter("b"))
    async with subject.keep("b"):
        for name in "ab":
            subject.cache.retire(adapter(name))
        await wait_for(lambda: subject.loader.on_disk() == {"b"})
    # Its bytes count until after the files are gone.
    await wait_for(lambda: not subject.loader.on_disk() and not subject.cache.bytes)
    assert subject.loader.unloaded == [adapter("a").engine_id, adapter("b").engine_id]
    assert subject.cache.evictions == 0
    await subject.use("a")
    assert subject.loader.on_disk() == {"a"}, "a request for the old revision loads it again"


async def test_files_stay_while_the_engine_needs_them(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    subject.loader.frees = False
    await subject.use("a")
    subject.cache.retire(adapter("a"))
    await wait_for(lambda: subject.cache.holds(adapter("a").engine_id))
    assert subject.loader.on_disk() == {"a"}
    assert len(subject.loader.unloaded) == 1


async def wait_for(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds; the test's time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 — it polls files, too
        await asyncio.sleep(0.001)


async def _enter(subject: Subject, asked: Adapter, context: RequestContext) -> None:
    async with subject.cache.keep(asked, partial(subject.admission.waiting_for_load, context)):
        pass


async def test_an_adapter_that_its_probe_refuses_is_unloaded_and_not_tried_again(tmp_path: Path) -> None:
    subject = Subject(tmp_path)

    async def refuse(loaded: Adapter, probe: Probe) -> None:
        raise adapter_error(ADAPTER_WITHOUT_EFFECT, "changes nothing: publish another one")

    subject.cache._prove = refuse
    for _ in range(2):
        with pytest.raises(GatewayError, match="changes nothing"):
            await subject.use("otter")
    engine_id = adapter("otter").engine_id
    assert (subject.loader.loaded, subject.loader.unloaded) == ([engine_id], [engine_id])
    assert not subject.loader.on_disk()
    assert subject.cache.load_failures == 0


async def test_adapters_in_use_are_those_of_requests_and_the_one_used_last(tmp_path: Path) -> None:
    subject = Subject(tmp_path)
    assert subject.cache.in_use == ()
    await subject.use("a", "b")
    async with subject.keep("c"):
        await subject.use("b")
        assert subject.cache.in_use == (adapter("c").engine_id, adapter("b").engine_id)
    assert subject.cache.loaded == tuple(adapter(name).engine_id for name in ("a", "c", "b"))
    assert subject.cache.in_use == (adapter("b").engine_id,)
