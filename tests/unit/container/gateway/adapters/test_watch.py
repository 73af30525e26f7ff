"""The watch over the registry, with the cache and an engine that keeps two adapters."""

from pathlib import Path

from adapters.store.layout import RegistryEntry, adapter_prefix, registry_key
from container.gateway.adapters.registry import RegistryReader
from container.gateway.adapters.watch import RegistryWatch
from tests.harness.registry_store import StubStore
from tests.unit.container.gateway.adapters.test_cache import SIZE, Subject, wait_for

OLD, NEW = "0" * 16, "1" * 16


class Watched(Subject):
    def __init__(self, directory: Path, **labels: str) -> None:
        super().__init__(directory, adapters=10)
        self.store = StubStore({})
        for name, pinned in labels.items():
            self.publish(name, pinned=pinned)
        self.registry = RegistryReader(self.store, cache_seconds=0, on_replaced=self.cache.retire)
        self.watch = RegistryWatch(self.registry, self.cache)

    def publish(self, name: str, revision: str = OLD, **labels: str) -> None:
        written = RegistryEntry(name, revision, revision * 4, 8, SIZE, "base", "here", labels=labels)
        self.store.objects[registry_key(name)] = written.to_json()

    def removed(self, name: str, revision: str = OLD) -> bool:
        return not self.loader.files(adapter_prefix(name, revision)).exists()


async def test_pinned_adapters_are_loaded_without_a_request_and_as_many_as_may(tmp_path: Path) -> None:
    subject = Watched(tmp_path, a="true", b="no", c="true", d="true")
    await subject.watch.look()
    assert subject.loader.pinned == [adapter_prefix(name, OLD) for name in "ac"]
    assert subject.loader.on_disk() == {"a", "c", "d"}, "what is not pinned is loaded all the same"
    await subject.watch.look()
    assert subject.store.asked[registry_key("b")] == 1, "an entry that has not changed is read once"


async def test_an_adapter_that_is_removed_is_unloaded_without_a_request(tmp_path: Path) -> None:
    subject = Watched(tmp_path, a="true", b="true")
    await subject.watch.look()
    del subject.store.objects[registry_key("a")]
    await subject.watch.look()
    await wait_for(lambda: subject.removed("a"))
    assert subject.loader.on_disk() == {"b"}


async def test_the_new_revision_of_a_pinned_adapter_takes_its_place(
    tmp_path: Path,
) -> None:
    subject = Watched(tmp_path, a="true")
    await subject.watch.look()
    # A store of which each object has the same time: the watch would not read it again.
    subject.watch._read.clear()
    subject.publish("a", NEW, pinned="true")
    subject.loader.pinned.clear()
    await subject.watch.look()
    assert subject.loader.pinned == [adapter_prefix("a", NEW)]
    await wait_for(lambda: subject.removed("a"))


async def test_what_is_no_entry_of_ours_and_a_store_that_fails_stop_nothing(tmp_path: Path) -> None:
    subject = Watched(tmp_path, a="true")
    subject.store.objects["registry/Not A Name.json"] = b"{}"
    subject.store.objects[registry_key("damaged")] = b"{"
    subject.store.down = True
    await subject.watch.look()
    subject.store.down = False
    await subject.watch.look()
    assert subject.loader.on_disk() == {"a"}
