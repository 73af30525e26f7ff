"""A container that starts while lists of demand are damaged, or the store is slow."""

import json
import signal
from pathlib import Path

from adapters.store.layout import PROBES_PREFIX, RegistryEntry, registry_key
from container.gateway.warm_up.demand_list import demand_list, demand_prefix
from tests.contract.faulty_container import container
from tests.contract.faulty_s3 import Fault, FaultyS3

LISTS = demand_prefix("lora-dev")
SECRET = "a secret prompt"
SETTINGS = {"ENDPOINT_NAME": "lora-dev", "METRICS_SECONDS": 0.2}


def store(*names: str) -> FaultyS3:
    entries = (RegistryEntry(name, "0" * 16, "0" * 64, 8, 1, "tiny-mistral", "here") for name in names)
    return FaultyS3({registry_key(entry.name): entry.to_json() for entry in entries})


def test_damaged_lists_are_ignored_and_an_instance_publishes_its_own(tmp_path: Path) -> None:
    s3 = store("otter", "heron")
    s3.objects |= {
        f"{LISTS}good.json": demand_list({"otter": 2.0, "heron": 1.0, "removed": 9.0}),
        f"{LISTS}cut.json": b'{"adapters": {"otter": ',
        f"{LISTS}hostile.json": json.dumps(
            {"adapters": {"../../registry/otter": 1, "otter": 1e308}}
        ).encode(),
        f"{LISTS}huge.json": b'{"adapters": {' + b" " * 3_000_000 + b"}}",
        f"{demand_prefix('another')}good.json": demand_list({"heron": 99.0}),
    }
    before = set(s3.objects)
    with s3.serving() as url, container(tmp_path, SETTINGS | {"WARM_UP_SECONDS": 30}, s3=url) as started:
        started.wait_until_ready()
        assert "warm-up: loaded 2 of 2 wanted adapters" in started.log
        assert all(f"{LISTS}{name}.json is ignored" in started.log for name in ("cut", "hostile", "huge"))
        assert started.client.generate(SECRET, adapter_id="heron").status == 200
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(20) == 0
        assert SECRET not in started.log
    totals = {
        name: sum(line[name] for line in started.states)
        for name in ("WarmedAdapters", "DemandErrors", "AdapterLoadFailures")
    }
    assert totals == {"WarmedAdapters": 2, "DemandErrors": 3, "AdapterLoadFailures": 0}
    # Beside the records of the probes.
    (own,) = {key for key in set(s3.objects) - before if not key.startswith(PROBES_PREFIX)}
    assert own.startswith(LISTS)
    assert json.loads(s3.objects[own]) == {"adapters": {"heron": 1.0}}


def test_a_store_that_hangs_holds_a_start_up_for_the_given_seconds_only(tmp_path: Path) -> None:
    s3 = store("otter")
    s3.fault = Fault.HANGING
    with s3.serving() as url, container(tmp_path, SETTINGS | {"WARM_UP_SECONDS": 0.5}, s3=url) as started:
        started.wait_until_ready()
        assert "the warm-up takes more than 0.5 s" in started.log
        assert started.client.generate().status == 200
