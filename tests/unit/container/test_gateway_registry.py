import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from adapters.store import RegistryEntry, registry_key
from container.gateway.errors import GatewayError
from container.gateway.registry import Registry, StoreError

OLD, NEW = "0" * 16, "1" * 16


def entry(name: str, revision: str) -> bytes:
    return RegistryEntry(name, revision, revision * 4, 8, 1, "base", "here").to_json()


class StubStore:
    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.asked: Counter[str] = Counter()
        self.down = False

    async def read(self, key: str) -> bytes | None:
        self.asked[key] += 1
        await asyncio.sleep(0)
        if self.down:
            raise StoreError("connection refused")
        return self.objects.get(key)

    async def exists(self, key: str) -> bool:
        return await self.read(key) is not None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refusal(work: Coroutine[Any, Any, str]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        asyncio.run(work)
    return caught.value


def test_a_name_stands_for_the_revision_that_the_registry_says() -> None:
    store = StubStore({registry_key("team/otter"): entry("team/otter", OLD)})
    assert asyncio.run(Registry(store).engine_id("team/otter")) == f"adapters/team/otter/{OLD}/"


def test_a_pinned_revision_needs_its_files_and_not_the_registry() -> None:
    store = StubStore({f"adapters/otter/{OLD}/adapter_config.json": b"{}"})
    assert asyncio.run(Registry(store).engine_id(f"otter@{OLD}")) == f"adapters/otter/{OLD}/"
    assert refusal(Registry(store).engine_id(f"otter@{NEW}")).status == 404


def test_an_unknown_name_is_404() -> None:
    error = refusal(Registry(StubStore({})).engine_id("otter"))
    assert (error.status, error.error_type) == (404, "adapter_not_found")


@pytest.mark.parametrize(
    "adapter",
    ["s3://other/otter", "../otter", "/opt/ml/model", "Otter", "a--b", "otter@latest", "otter/", "ö"],
)
def test_what_can_not_be_a_name_is_422_and_never_reaches_the_store(adapter: str) -> None:
    store = StubStore({})
    assert refusal(Registry(store).engine_id(adapter)).status == 422
    assert not store.asked


def test_an_answer_is_used_again_until_it_is_too_old() -> None:
    async def scenario() -> None:
        clock, store = Clock(), StubStore({registry_key("otter"): entry("otter", OLD)})
        registry = Registry(store, cache_seconds=5, clock=clock)
        await registry.engine_id("otter")
        store.objects[registry_key("otter")] = entry("otter", NEW)
        clock.now = 4.9
        assert OLD in await registry.engine_id("otter")
        assert store.asked.total() == 1
        clock.now = 5.1
        assert NEW in await registry.engine_id("otter")

    asyncio.run(scenario())


def test_unknown_is_remembered_too_and_forgotten_as_soon() -> None:
    async def scenario() -> None:
        clock, store = Clock(), StubStore({})
        registry = Registry(store, cache_seconds=5, clock=clock)
        for _ in range(3):
            with pytest.raises(GatewayError):
                await registry.engine_id("otter")
        assert store.asked.total() == 1
        store.objects[registry_key("otter")] = entry("otter", OLD)
        clock.now = 5.1
        assert OLD in await registry.engine_id("otter")

    asyncio.run(scenario())


def test_who_asks_at_the_same_time_shares_one_question() -> None:
    async def scenario() -> None:
        store = StubStore({registry_key("otter"): entry("otter", OLD)})
        registry = Registry(store)
        answers = await asyncio.gather(*(registry.engine_id("otter") for _ in range(20)))
        assert set(answers) == {f"adapters/otter/{OLD}/"}
        assert store.asked.total() == 1

    asyncio.run(scenario())


def test_a_caller_who_leaves_does_not_take_the_others_along() -> None:
    async def scenario() -> None:
        registry = Registry(StubStore({registry_key("otter"): entry("otter", OLD)}))
        leaves = asyncio.create_task(registry.engine_id("otter"))
        stays = asyncio.create_task(registry.engine_id("otter"))
        await asyncio.sleep(0)
        leaves.cancel()
        assert OLD in await stays

    asyncio.run(scenario())


def test_a_store_that_is_down_is_503_and_not_remembered() -> None:
    async def scenario() -> None:
        store = StubStore({registry_key("otter"): entry("otter", OLD)})
        registry = Registry(store)
        store.down = True
        with pytest.raises(GatewayError) as caught:
            await registry.engine_id("otter")
        assert (caught.value.status, caught.value.error_type) == (503, "registry_unavailable")
        store.down = False
        assert OLD in await registry.engine_id("otter")

    asyncio.run(scenario())


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", entry("otter", "../../escape")])
def test_a_damaged_entry_is_500_and_names_the_adapter(body: bytes) -> None:
    error = refusal(Registry(StubStore({registry_key("otter"): body})).engine_id("otter"))
    assert (error.status, error.error_type) == (500, "registry_entry_invalid")
    assert "otter" in error.message
