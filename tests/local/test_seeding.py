"""The seeder against a real S3 protocol: uploads, retention, refusals."""

import json
import time
from typing import Any

import pytest

from adapters.store.layout import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE, RegistryEntry, adapter_prefix
from adapters.store.registry import AdapterRegistry, PublishConflict, Published
from adapters.store.retention import RETIRED_TAG, Retention
from adapters.store.transfer import OutOfTime
from adapters.validation.rules import Rules
from lambdas.adapter_seeder.outcome import MAX_MESSAGE_BYTES, Report, SeedingFailed
from laptop_cloud.cloud import LaptopCloud
from samples.spec import ADAPTERS_DIR
from tests.harness import factories
from tests.harness.sample_adapters import digest_of, sample_files
from tests.harness.store import MADE_RULES, Store

RETIRED = [{"Key": RETIRED_TAG[0], "Value": RETIRED_TAG[1]}]


@pytest.fixture
def store(laptop: LaptopCloud) -> Store:
    return Store(laptop.client("s3"))


@pytest.fixture
def wide(laptop: LaptopCloud) -> Store:
    """A store for the adapters of `tests.made`."""
    return Store(laptop.client("s3"), rules=MADE_RULES)


def complete(store: Store) -> list[str]:
    """The prefixes of the revisions that are in the bucket as a whole.

    Time that ends with the first ends before copies are factories.
    """
    return [key.removesuffix(CONFIG_FILE) for key in store.objects("adapters/") if key.endswith(CONFIG_FILE)]


def test_a_second_seeding_moves_nothing(store: Store) -> None:
    adapters = {"otter": sample_files("otter"), "team/heron": sample_files("heron")}
    first = store.seed(adapters)
    size = sum(len(content) for files in adapters.values() for content in files.values())
    assert first == Report(adapters=2, published=2, unpublished=0, bytes_moved=size)
    store.check()
    assert store.seed(adapters) == Report(2, 0, 0, 0)


def test_without_its_record_a_seeding_looks_again_and_moves_nothing(store: Store) -> None:
    adapters = {"otter": sample_files("otter")}
    store.seed(adapters)
    before = store.objects("registry/") | store.objects("adapters/")
    store.s3.delete_object(Bucket=store.bucket, Key="seeding/stack/record.json")
    assert store.seed(adapters) == Report(1, 0, 0, 0)
    store.s3.put_object(Bucket=store.bucket, Key="seeding/stack/record.json", Body=b'{"version": 1}')
    assert store.seed(adapters) == Report(1, 0, 0, 0)
    assert store.objects("registry/") | store.objects("adapters/") == before


def test_one_changed_adapter_among_many_moves_one(store: Store) -> None:
    names = [path.name for path in sorted(ADAPTERS_DIR.iterdir())]
    adapters = {name: sample_files(name) for name in names}
    store.seed(adapters)
    adapters["otter"] = made_over = sample_files("otter", lora_alpha=32)
    report = store.seed(adapters)
    assert (report.published, report.unpublished) == (1, 0)
    assert report.bytes_moved == sum(map(len, made_over.values()))
    store.check()


def test_an_adapter_that_moves_in_manifest_or_gets_labels_and_limits_moves_no_bytes(store: Store) -> None:
    store.seed({"otter": sample_files("otter"), "heron": sample_files("heron")})
    report = store.seed(
        {"heron": sample_files("heron"), "otter": sample_files("otter")},
        labels={"otter": {"team": "rivers"}},
        limits={"heron": {"max_concurrent": 4}},
    )
    assert report == Report(2, 2, 0, 0)
    assert store.entry("otter").labels == {"team": "rivers"}
    assert store.entry("heron").limits == {"max_concurrent": 4}


def test_a_changed_adapter_gets_a_new_revision_and_old_one_is_kept_for_a_while(store: Store) -> None:
    store.seed({"house": sample_files("otter")})
    old = store.entry("house")
    store.seed({"house": sample_files("heron")})
    new = store.entry("house")
    assert old.revision != new.revision
    for file in ADAPTER_FILES:
        assert store.objects(old.prefix)[old.prefix + file] == sample_files("otter")[file]
        assert store.tags(old.prefix + file) == RETIRED
        assert store.tags(new.prefix + file) == []


def test_retiring_dates_an_object_anew_because_lifecycle_rules_count_from_its_creation(store: Store) -> None:
    store.seed({"house": sample_files("otter")})
    key = store.entry("house").prefix + WEIGHTS_FILE
    created = store.s3.head_object(Bucket=store.bucket, Key=key)["LastModified"]
    time.sleep(1.1)
    store.seed({})
    assert store.s3.head_object(Bucket=store.bucket, Key=key)["LastModified"] > created


def test_what_comes_back_is_not_moved_again_and_no_longer_retired(store: Store) -> None:
    store.seed({"house": sample_files("otter")})
    store.seed({"house": sample_files("heron")})
    assert store.seed({"house": sample_files("otter")}) == Report(1, 1, 0, 0)
    assert store.tags(store.entry("house").prefix + WEIGHTS_FILE) == []
    assert (
        store.tags(adapter_prefix("house", digest_of(sample_files("heron"))[:16]) + WEIGHTS_FILE) == RETIRED
    )


def test_one_bad_adapter_publishes_nothing_and_each_bad_one_is_named(store: Store) -> None:
    store.seed({"good": sample_files("otter")})
    before = store.objects("registry/")
    with pytest.raises(SeedingFailed) as failed:
        store.seed(
            {
                "good": sample_files("heron"),
                "bad-rank": sample_files("lynx", r=64),
                "bad-base": sample_files("raven", base_model_name_or_path="other"),
            }
        )
    message = str(failed.value)
    assert "2 adapter(s) cannot be published; nothing was changed" in message
    assert "'bad-rank': its rank 64 is above this stage's 8; write engine.max_adapter_rank: 64" in message
    assert "'bad-base': it was trained on 'other'" in message
    assert store.objects("registry/") == before
    assert store.status()["phase"] == "failed"
    assert not store.objects(adapter_prefix("good", digest_of(sample_files("heron"))[:16])), (
        "transferred in vain"
    )


def test_more_failures_than_cloudformation_takes_are_all_in_report(store: Store) -> None:
    with pytest.raises(SeedingFailed) as failed:
        store.seed({f"bad-{number:03d}": sample_files("otter", r=64 + number) for number in range(60)})
    message = str(failed.value)
    assert message.startswith("60 adapter(s) cannot be published")
    assert len(message.encode()) <= MAX_MESSAGE_BYTES + 4
    key = "seeding/stack/report.json"
    assert f"s3://{store.bucket}/{key}" in message
    failures = json.loads(store.objects(key)[key])["failures"]
    assert {failure["adapter"] for failure in failures} == {f"bad-{number:03d}" for number in range(60)}
    assert all(failure["problem"] and failure["remedy"] for failure in failures)


def test_what_leaves_manifest_is_unpublished_and_its_objects_stay(store: Store) -> None:
    store.seed({"stays": sample_files("otter"), "goes": sample_files("heron")})
    assert store.seed({"stays": sample_files("otter")}) == Report(1, 0, 1, 0)
    assert store.names() == ["stays"]
    assert len(store.objects("adapters/goes/")) == len(ADAPTER_FILES)


def test_another_stacks_adapter_is_neither_taken_over_nor_removed(store: Store) -> None:
    store.seed({"theirs": sample_files("otter")}, owner="other-stack")
    with pytest.raises(SeedingFailed, match="'theirs': the name is published by 'other-stack'"):
        store.seed({"theirs": sample_files("heron")})
    assert store.seed({"ours": sample_files("heron")}).unpublished == 0
    assert store.names() == ["ours", "theirs"]


def test_names_that_begin_alike_are_kept_apart(store: Store) -> None:
    names = ["x/1", "x/10", "acme", "acme-corp", "v1", "v1.1"]
    adapters = dict(
        zip(names, map(sample_files, ["otter", "heron", "badger", "falcon", "lynx", "marten"]), strict=True)
    )
    store.seed(adapters)
    store.check()
    for name, files in adapters.items():
        assert store.entry(name).digest == digest_of(files)
    del adapters["x/1"], adapters["acme"], adapters["v1"]
    store.seed(adapters, removals=0.5)
    assert store.names() == ["acme-corp", "v1.1", "x/10"]
    store.check()
    assert store.tags(store.entry("x/10").prefix + WEIGHTS_FILE) == []


def test_copies_are_made_inside_s3_and_moved_once(store: Store) -> None:
    otter = sample_files("otter")
    report = store.seed({f"otter-{number:04d}": otter for number in range(1, 21)})
    assert report == Report(20, 20, 0, sum(map(len, otter.values())))
    store.check()
    more = store.seed({f"otter-{number:04d}": otter for number in range(1, 31)})
    assert more == Report(30, 10, 0, len(otter[CONFIG_FILE])), "the weights are in the bucket already"
    store.check()


def test_work_that_runs_out_of_time_publishes_nothing_yet_and_is_finished_by_the_next_call(
    wide: Store,
) -> None:
    adapters = {f"made-{seed}": factories.adapter(seed, mebibytes=72) for seed in range(3)}
    calls = 0

    def has_time() -> bool:
        nonlocal calls
        calls += 1
        return calls < 20

    with pytest.raises(OutOfTime):
        wide.seed(adapters, has_time=has_time)
    assert wide.names() == []
    assert wide.status()["phase"] == "to be continued"
    moved = wide.status()["bytes_moved"]
    report = wide.seed(adapters)
    size = sum(len(content) for files in adapters.values() for content in files.values())
    assert 0 < moved < size
    assert report.bytes_moved == size - moved, "what the first call had moved was moved again"
    wide.check()


def test_weights_that_do_not_match_manifests_sha256_are_refused_and_nothing_of_them_stays(
    wide: Store,
) -> None:
    for mebibytes in (0.125, 72):
        with pytest.raises(SeedingFailed, match="its weights hash to .*, expected " + "0" * 64):
            wide.seed({"made": factories.adapter(1, mebibytes=mebibytes)}, sha256={"made": "0" * 64})
    assert not wide.objects("adapters/")
    assert not wide.s3.list_multipart_uploads(Bucket=wide.bucket).get("Uploads")


def test_an_adapter_comes_from_another_s3_prefix_without_passing_through(wide: Store) -> None:
    files = factories.adapter(7, mebibytes=20)
    for file, content in files.items():
        wide.s3.put_object(Bucket=wide.bucket, Key=f"elsewhere/{file}", Body=content)
    source = f"s3://{wide.bucket}/elsewhere/"
    report = wide.seed({"mole": source, "vole": source})
    assert report == Report(2, 2, 0, bytes_moved=len(files[CONFIG_FILE]))
    wide.check()
    assert wide.entry("mole").source == source
    assert wide.seed({"mole": source, "vole": source}) == Report(2, 0, 0, 0)


def test_an_s3_source_that_changed_is_taken_again(wide: Store) -> None:
    source = f"s3://{wide.bucket}/elsewhere/"
    for seed in (1, 2):
        for file, content in factories.adapter(seed).items():
            wide.s3.put_object(Bucket=wide.bucket, Key=f"elsewhere/{file}", Body=content)
        assert wide.seed({"mole": source}, manifest=f"manifest {seed}").published == 1
        assert wide.entry("mole").digest == digest_of(factories.adapter(seed))


def test_an_s3_source_that_is_not_there_is_reported_with_a_remedy(store: Store) -> None:
    with pytest.raises(
        SeedingFailed, match="nowhere/: there is no object under this prefix; check its spelling"
    ):
        store.seed({"mole": f"s3://{store.bucket}/nowhere/"})


def test_a_stage_whose_rules_change_checks_what_is_there_and_moves_nothing(wide: Store) -> None:
    adapters = {f"made-{seed}": factories.adapter(seed) for seed in range(3)}
    wide.seed(adapters, base_model=factories.base_model)
    wide.rules = Rules("vllm", 32, factories.BASE, None)
    assert wide.seed(adapters, base_model=factories.base_model) == Report(3, 3, 0, 0)
    assert '"max_rank": 32' in wide.entry("made-0").checked_for
    wide.rules = Rules("vllm", 4, factories.BASE, None)
    with pytest.raises(SeedingFailed, match="3 adapter"):
        wide.seed(adapters, base_model=factories.base_model)


def test_adapters_are_checked_against_base_models_dimensions(wide: Store) -> None:
    with pytest.raises(SeedingFailed, match="'deep'"):
        wide.seed(
            {"deep": factories.adapter(1, mebibytes=20)}, base_model=lambda: factories.base_model(layers=4)
        )
    assert (
        wide.seed({"fits": factories.adapter(1)}, base_model=lambda: factories.base_model(layers=4)).published
        == 1
    )


def test_without_its_base_model_no_adapter_is_located_and_nothing_is_uploaded(wide: Store) -> None:
    wide.seed({"made": factories.adapter(1)})
    before = wide.objects("registry/") | wide.objects("adapters/")
    wide.rules = Rules("vllm", 16, factories.BASE, None)
    with pytest.raises(SeedingFailed) as failed:
        wide.seeding(
            {"made": factories.adapter(1), "absent": "s3://nothing-there/at/all/"},
            base_model=factories.no_base_model,
            model_prefix="models/acme/wide/",
        ).run()
    assert str(failed.value).startswith("the base model cannot be served; nothing was changed.")
    assert str(failed.value).endswith("base model 'acme/wide': the repository is gated; ask for access")
    assert wide.objects("registry/") | wide.objects("adapters/") == before
    assert wide.objects("models/") == {}


def test_a_mirrored_base_model_is_read_from_the_bucket(wide: Store) -> None:
    prefix = "models/acme/wide/"
    wide.seed(
        {"made": factories.adapter(1)}, model_prefix=prefix, base_model=lambda: factories.base_model(layers=1)
    )
    more = {"made": factories.adapter(1), "more": factories.adapter(2)}
    report = wide.seed(more, base_model=factories.no_base_model, model_prefix=prefix)
    assert report.published == 1
    with pytest.raises(SeedingFailed, match="'deep'"):
        wide.seed(
            more | {"deep": factories.adapter(1, mebibytes=20)},
            base_model=factories.no_base_model,
            model_prefix=prefix,
        )


def test_a_name_that_another_stack_takes_meanwhile_is_reported_and_all_is_rolled_back(store: Store) -> None:
    """Between the two phases another stack publishes one of the names."""
    store.seed({"kept": sample_files("otter")})
    before = store.objects("registry/")
    other: dict[str, Any] = {}

    def take_over() -> bool:
        if not other and store.status()["phase"] == "transferring":
            other.update(entry=Store.seed(store, {"taken": sample_files("lynx")}, owner="other"))
        return True

    with pytest.raises(SeedingFailed, match="'taken': another publisher has published"):
        store.seed(
            {"kept": sample_files("badger"), "new": sample_files("heron"), "taken": sample_files("falcon")},
            has_time=take_over,
        )
    after = store.objects("registry/")
    assert {key: after[key] for key in before} == before
    assert store.names() == ["kept", "taken"]
    assert store.entry("taken").owner == "other"


def test_conflicting_writes_are_refused_by_the_registry(store: Store) -> None:
    store.seed({"otter": sample_files("otter")})
    seen = store.registry.get("otter")
    assert seen is not None
    store.seed({"otter": sample_files("heron")})
    with pytest.raises(PublishConflict):
        store.registry.put(seen.entry, seen)
    with pytest.raises(PublishConflict):
        store.registry.delete(seen)
    assert store.entry("otter").digest == digest_of(sample_files("heron"))


def test_the_config_is_the_last_object_of_a_revision(wide: Store) -> None:
    wide.seed({"made": factories.adapter(1, mebibytes=20)})
    prefix = wide.entry("made").prefix
    dates = {
        file: wide.s3.head_object(Bucket=wide.bucket, Key=prefix + file)["LastModified"]
        for file in ADAPTER_FILES
    }
    assert dates[CONFIG_FILE] >= dates[WEIGHTS_FILE]


def test_time_that_runs_out_after_publishing_leaves_no_current_revision_to_expire(store: Store) -> None:
    store.seed({"house": sample_files("otter"), "lodge": sample_files("heron")})
    store.seed({"house": sample_files("badger")})
    adapters = {"house": sample_files("otter"), "lodge": sample_files("heron")}
    with pytest.raises(OutOfTime):
        store.seed(adapters, has_time=lambda: "lodge" not in store.names())
    badger = adapter_prefix("house", digest_of(sample_files("badger"))[:16]) + WEIGHTS_FILE
    assert store.tags(badger) == [], "the test came too late"
    store.seed(adapters)
    for name in adapters:
        assert store.tags(store.entry(name).prefix + WEIGHTS_FILE) == []
    assert store.tags(badger) == RETIRED


def test_what_a_failed_deploy_left_ready_and_was_retired_since_is_brought_back(store: Store) -> None:
    """`gc` retires a revision that no name points to; a later deploy may publish it."""
    adapters = {"house": sample_files("otter"), "lodge": sample_files("otter"), "tower": sample_files("lynx")}
    with pytest.raises(OutOfTime):
        store.seed(adapters, has_time=lambda: not complete(store))
    assert store.names() == []
    for prefix in complete(store):
        Retention(store.s3, store.bucket).retire(prefix)
    store.seed(adapters)
    for name in adapters:
        assert store.tags(store.entry(name).prefix + WEIGHTS_FILE) == []


def test_what_was_made_ready_for_a_manifest_that_never_came_is_retired(store: Store) -> None:
    with pytest.raises(OutOfTime):
        store.seed(
            {"house": sample_files("otter"), "lodge": sample_files("otter"), "tower": sample_files("lynx")},
            has_time=lambda: not complete(store),
        )
    left = complete(store)
    store.seed({"other": sample_files("badger")})
    assert left
    assert all(store.tags(prefix + WEIGHTS_FILE) == RETIRED for prefix in left)


def test_a_conflict_rolls_back_what_an_earlier_invocation_had_written(store: Store) -> None:
    store.seed(
        {"house": sample_files("otter"), "lodge": sample_files("heron"), "tower": sample_files("lynx")}
    )
    before = store.objects("registry/")
    wanted = {
        "house": sample_files("badger"),
        "lodge": sample_files("badger"),
        "tower": sample_files("badger"),
    }

    class Cut(Exception):
        """The invocation is killed after its second write."""

    class Killed(AdapterRegistry):
        written = 0

        def put(self, entry: RegistryEntry, replaces: Published | None) -> Published:
            if self.written == 2:
                raise Cut
            self.written += 1
            return super().put(entry, replaces)

    seeding = store.seeding(wanted)
    seeding._registry = Killed(store.s3, store.bucket)
    with pytest.raises(Cut):
        seeding.run()
    changed = [key for key, body in store.objects("registry/").items() if body != before[key]]
    assert len(changed) == 2
    [untouched] = before.keys() - set(changed)
    theirs = json.dumps(json.loads(before[untouched]) | {"owner": "somebody"}).encode()

    def take() -> bool:
        if store.status()["phase"] == "publishing" and store.objects(untouched)[untouched] != theirs:
            store.s3.put_object(Bucket=store.bucket, Key=untouched, Body=theirs)
        return True

    with pytest.raises(SeedingFailed, match="another publisher has published"):
        store.seed(wanted, has_time=take)
    assert store.objects("registry/") == before | {untouched: theirs}


def test_a_damaged_entry_stops_only_whom_it_belongs_to(store: Store) -> None:
    store.s3.put_object(Bucket=store.bucket, Key="registry/broken.json", Body=b'{"name": "broken"}')
    assert store.seed({"whole": sample_files("otter")}).published == 1
    assert "registry/broken.json is damaged" in str(store.status()["warnings"])
    with pytest.raises(SeedingFailed, match="registry/broken.json is damaged; bring back"):
        store.seed({"whole": sample_files("otter"), "broken": sample_files("heron")})


def test_a_damaged_version_of_an_entry_that_was_repaired_is_left_out_of_its_history(store: Store) -> None:
    store.seed({"house": sample_files("otter")})
    entry = store.entry("house")
    store.s3.put_object(Bucket=store.bucket, Key="registry/house.json", Body=b"{")
    store.s3.put_object(Bucket=store.bucket, Key="registry/house.json", Body=entry.to_json())
    assert [version.entry for version in store.registry.history("house")] == [entry, entry]
