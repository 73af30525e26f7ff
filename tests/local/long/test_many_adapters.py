"""A manifest of hundreds of adapters is deployed like a manifest of two."""

import json
import time
from collections.abc import Callable

from adapters.store.transfer import OutOfTime
from ingest.hub import Hub
from lambdas.adapter_seeder.outcome import Report
from laptop_cloud.cloud import LaptopCloud
from tests.harness import factories
from tests.harness.sample_adapters import digest_of
from tests.harness.store import MADE_RULES, Store
from tests.hub.server import HubServer

COUNT = 400
#: Time limit of an invocation: so short that several invocations are needed.
SECONDS = 2.0


def time_for(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def test_hundreds_of_adapters_are_seeded_over_several_invocations(laptop: LaptopCloud) -> None:
    store = Store(laptop.client("s3"), rules=MADE_RULES)
    files = {n: factories.adapter(n) for n in range(COUNT)}
    invocations = 0
    with HubServer() as server:
        adapters = {
            f"team-{n % 7}/made-{n}": f"hf://acme/made-{n}@{server.add(f'acme/made-{n}', dict(content))}"
            for n, content in files.items()
        }
        hub = Hub(server.endpoint)
        moved = 0
        published_before = False
        while True:
            invocations += 1
            assert invocations < 60, "it does not come forward"
            try:
                report = store.seed(
                    adapters, hub=hub, base_model=factories.base_model, has_time=time_for(SECONDS)
                )
            except OutOfTime:
                ready, published = store.status()["ready"], len(store.names())
                assert published in {0, COUNT}
                # An invocation after the end of publishing counts all adapters again.
                assert published == 0 or ready == COUNT or published_before
                published_before = published > 0
                moved += store.status()["bytes_moved"]
                continue
            break
        asked = len(server.requests)
        again = store.seed(adapters, hub=hub, base_model=factories.base_model)
        assert len(server.requests) == asked
    assert again == Report(COUNT, 0, 0, 0)
    assert moved + report.bytes_moved == sum(
        len(part) for content in files.values() for part in content.values()
    )
    assert len(store.names()) == COUNT
    for n in random_sample():
        assert store.entry(f"team-{n % 7}/made-{n}").digest == digest_of(files[n])
    assert store.status()["phase"] == "complete"
    assert json.dumps(store.status()).count("warning") == 1


def random_sample() -> range:
    return range(0, COUNT, 37)
