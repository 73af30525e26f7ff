import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from adapters.errors import InvalidName
from adapters.store.layout import RegistryEntry, registry_key
from container.gateway.adapters.registry import STALE_SECONDS, Adapter, Listed, RegistryReader
from container.gateway.errors import GatewayError
from tests.harness.registry_store import LAST_MODIFIED, StubStore

OLD, NEW = "0" * 16, "1" * 16


def entry(name: str, revision: str, **labels: str) -> bytes:
    return RegistryEntry(name, revision, revision * 4, 8, 1, "base", "here", labels=labels).to_json()


class SlowStore(StubStore):
    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.go = asyncio.Event()
        self.go.set()

    async def read(self, key: str) -> bytes | None:
        await self.go.wait()
        return await super().read(key)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new(store: StubStore, clock: Clock | None = None) -> RegistryReader:
    return RegistryReader(store, cache_seconds=5, clock=clock or Clock())


async def refusal(work: Coroutine[Any, Any, Adapter]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await work
    return caught.value


async def test_a_name_stands_for_the_revision_that_the_registry_says() -> None:
    store = StubStore({registry_key("team/otter"): entry("team/otter", OLD)})
    assert (await new(store).resolve("team/otter")).engine_id == f"adapters/team/otter/{OLD}/"


async def test_an_earlier_revision_needs_its_files_and_a_name_that_is_registered() -> None:
    old = f"adapters/otter/{OLD}/"
    objects = {old + "adapter_config.json": b"{}", old + "adapter_model.safetensors": b"12345678"}
    removed = StubStore(dict(objects))
    assert (await refusal(new(removed).resolve(f"otter@{OLD}"))).status == 404
    store = StubStore(objects | {registry_key("otter"): entry("otter", NEW)})
    assert await new(store).resolve(f"otter@{OLD}") == Adapter("otter", OLD, 8)
    assert await new(store).resolve(f"otter@{NEW}") == Adapter("otter", NEW, 1, 8)
    assert (await refusal(new(store).resolve(f"otter@{'2' * 16}"))).status == 404


async def test_an_unknown_name_is_404() -> None:
    error = await refusal(new(StubStore({})).resolve("otter"))
    assert (error.status, error.error_type) == (404, "adapter_not_found")


@pytest.mark.parametrize(
    "adapter",
    ["s3://other/otter", "../otter", "/opt/ml/model", "Otter", "a--b", "otter@latest", "otter/", "ö"],
)
async def test_what_can_not_be_a_name_never_reaches_store(adapter: str) -> None:
    store = StubStore({})
    with pytest.raises(InvalidName):
        await new(store).resolve(adapter)
    assert not store.asked


async def test_an_answer_is_used_again_until_it_is_too_old() -> None:
    clock, store = Clock(), StubStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store, clock)
    await registry.resolve("otter")
    store.objects[registry_key("otter")] = entry("otter", NEW)
    clock.now = 3.9
    assert (await registry.resolve("otter")).revision == OLD
    assert store.asked.total() == 1
    clock.now = 5.1
    assert (await registry.resolve("otter")).revision == NEW


async def test_an_answer_in_use_is_renewed_before_its_end_and_no_request_waits() -> None:
    clock, store = Clock(), SlowStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store, clock)
    await registry.resolve("otter")
    store.objects[registry_key("otter")] = entry("otter", NEW)
    store.go.clear()
    clock.now = 4.5
    assert (await registry.resolve("otter")).revision == OLD
    await asyncio.sleep(0)
    store.go.set()
    clock.now = 4.6
    for _ in range(5):
        await asyncio.sleep(0)
    assert (await registry.resolve("otter")).revision == NEW
    store.objects[registry_key("otter")] = entry("otter", OLD)
    clock.now = 8.4
    assert (await registry.resolve("otter")).revision == NEW
    assert store.asked.total() == 2
    # Its time counts from its own request, at 4.5.
    clock.now = 9.6
    assert (await registry.resolve("otter")).revision == OLD


async def test_a_store_that_fails_is_asked_in_the_background_once_and_then_by_a_request() -> None:
    clock, store = Clock(), StubStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store, clock)
    await registry.resolve("otter")
    store.down = True
    clock.now = 4.5
    for _ in range(3):
        assert (await registry.resolve("otter")).revision == OLD
        await asyncio.sleep(0.001)
    assert (registry.errors, registry.stale_answers) == (1, 0)
    clock.now = 5.1
    assert (await registry.resolve("otter")).revision == OLD
    assert (registry.errors, registry.stale_answers) == (2, 1)


async def test_unknown_is_remembered_too_and_forgotten_as_soon() -> None:
    clock, store = Clock(), StubStore({})
    registry = new(store, clock)
    for _ in range(3):
        with pytest.raises(GatewayError):
            await registry.resolve("otter")
    assert store.asked.total() == 1
    store.objects[registry_key("otter")] = entry("otter", OLD)
    clock.now = 5.1
    assert (await registry.resolve("otter")).revision == OLD


async def test_who_asks_at_the_same_time_shares_one_question() -> None:
    store = StubStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store)
    answers = await asyncio.gather(*(registry.resolve("otter") for _ in range(20)))
    assert {answer.engine_id for answer in answers} == {f"adapters/otter/{OLD}/"}
    assert store.asked.total() == 1


async def test_a_caller_who_leaves_does_not_take_the_others_along() -> None:
    registry = new(StubStore({registry_key("otter"): entry("otter", OLD)}))
    leaves = asyncio.create_task(registry.resolve("otter"))
    stays = asyncio.create_task(registry.resolve("otter"))
    await asyncio.sleep(0)
    leaves.cancel()
    assert (await stays).revision == OLD


async def test_a_store_that_is_down_is_503_and_not_remembered() -> None:
    store = StubStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store)
    store.down = True
    with pytest.raises(GatewayError) as caught:
        await registry.resolve("otter")
    assert (caught.value.status, caught.value.error_type) == (503, "registry_unavailable")
    store.down = False
    assert (await registry.resolve("otter")).revision == OLD


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", entry("otter", "../../escape")])
async def test_a_damaged_entry_is_500_and_names_the_adapter(body: bytes) -> None:
    error = await refusal(new(StubStore({registry_key("otter"): body})).resolve("otter"))
    assert (error.status, error.error_type) == (500, "registry_entry_invalid")
    assert "otter" in error.message


async def test_while_store_is_down_its_last_answer_is_used_for_a_while() -> None:
    clock, store = Clock(), StubStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store, clock)
    await registry.resolve("otter")
    store.down = True
    clock.now = 6
    assert (await registry.resolve("otter")).revision == OLD
    asked = store.asked.total()
    await registry.resolve("otter")
    assert store.asked.total() == asked, "not each request may wait for a store that is down"
    clock.now = STALE_SECONDS + 1
    with pytest.raises(GatewayError) as caught:
        await registry.resolve("otter")
    assert (caught.value.status, caught.value.error_type) == (503, "registry_unavailable")


async def test_made_up_names_do_not_push_out_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("container.gateway.adapters.registry.MAX_UNKNOWN", 5)

    clock, store = Clock(), StubStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store, clock)
    await registry.resolve("otter")
    for number in range(20):
        with pytest.raises(GatewayError):
            await registry.resolve(f"made-up-{number}")
    store.down = True
    clock.now = 6
    assert (await registry.resolve("otter")).revision == OLD


async def test_a_slow_store_is_not_waited_for_where_an_answer_is_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("container.gateway.adapters.registry.PATIENCE_SECONDS", 0.05)

    clock, store = Clock(), SlowStore({registry_key("otter"): entry("otter", OLD)})
    registry = new(store, clock)
    await registry.resolve("otter")
    store.go.clear()
    store.objects[registry_key("otter")] = entry("otter", NEW)
    clock.now = 6
    assert (await registry.resolve("otter")).revision == OLD
    store.go.set()
    await asyncio.sleep(0.05)
    assert (await registry.resolve("otter")).revision == NEW, "a late answer counts"


async def test_the_names_are_those_of_the_registry() -> None:
    keys = [registry_key(name) for name in ("team/otter", "heron")]
    store = StubStore(dict.fromkeys(keys, b"") | {"registry/notes.txt": b"", "other/x.json": b""})
    clock = Clock()
    registry = new(store, clock)
    assert await registry.names() == [Listed("heron", LAST_MODIFIED), Listed("team/otter", LAST_MODIFIED)]
    await registry.names()
    assert store.asked.total() == 1
    store.down = True
    clock.now = 6
    with pytest.raises(GatewayError) as caught:
        await registry.names()
    assert caught.value.status == 503


async def test_what_a_name_no_longer_stands_for_is_reported_once() -> None:
    clock, store, replaced = Clock(), StubStore({registry_key("otter"): entry("otter", OLD)}), []
    registry = RegistryReader(store, cache_seconds=5, clock=clock, on_replaced=replaced.append)
    await registry.resolve("otter")
    store.objects[registry_key("otter")] = entry("otter", NEW)
    for clock.now in (4.0, 6.0, 12.0):
        await registry.resolve("otter")
    assert [adapter.revision for adapter in replaced] == [OLD]
    assert (await registry.refresh("otter")).revision == NEW
    del store.objects[registry_key("otter")]
    assert (await refusal(registry.refresh("otter"))).status == 404
    assert [adapter.revision for adapter in replaced] == [OLD, NEW]


async def test_an_adapter_that_is_pinned_no_more_is_reported() -> None:
    store, replaced = StubStore({registry_key("otter"): entry("otter", OLD, pinned="true")}), []
    registry = RegistryReader(store, cache_seconds=5, clock=Clock(), on_replaced=replaced.append)
    assert (await registry.refresh("otter")).pinned
    store.objects[registry_key("otter")] = entry("otter", OLD)
    assert not (await registry.refresh("otter")).pinned
    assert [adapter.pinned for adapter in replaced] == [True]
