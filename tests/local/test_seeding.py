"""The seeder against a real S3 protocol and a Hub that speaks HTTP."""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters.publishing import AdapterBucket
from adapters.store import ADAPTER_FILES, adapter_prefix
from lambdas.adapter_seeder.desired import DesiredAdapter, DesiredState
from lambdas.adapter_seeder.seeding import OutOfTime, Report, SeedingFailed, seed
from loraserve.local.cloud import LaptopCloud
from stacks.project import ROOT

SAMPLES = ROOT / "samples" / "adapters"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Store:
    """A fresh bucket and the call under test."""

    def __init__(self, s3: Any, folder: Path) -> None:
        self.s3 = s3
        self.folder = folder
        self.bucket = AdapterBucket(s3, f"store-{uuid.uuid4().hex[:12]}")
        s3.create_bucket(Bucket=self.bucket.name)

    def local(self, name: str, sample: str, config: dict[str, Any] | None = None) -> DesiredAdapter:
        """A desired adapter whose files came with the manifest asset."""
        target = self.folder / name
        target.mkdir(parents=True, exist_ok=True)
        for file in ADAPTER_FILES:
            (target / file).write_bytes((SAMPLES / sample / file).read_bytes())
        if config is not None:
            path = target / "adapter_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return DesiredAdapter([name], f"asset://{name}/", None, {})

    def seed(self, *adapters: DesiredAdapter, owner: str = "stack", has_time: Any = lambda: True) -> Report:
        return seed(
            self.bucket,
            self.s3,
            DesiredState(list(adapters), None, [], self.folder),
            engine="vllm",
            max_rank=8,
            base_model="tiny-mistral",
            owner=owner,
            has_time=has_time,
        )

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.bucket.entries())

    def objects(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket.name, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]


@pytest.fixture
def store(laptop: LaptopCloud, tmp_path: Path) -> Store:
    return Store(laptop.client("s3"), tmp_path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves samples/adapters/<name> as the repository org/<name>, as the Hub's resolve route does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, repo, _, _, file = self.path.split("/")
            path = SAMPLES / repo / file
            if not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:100] if repo == "seal" else body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield "hf://org"
        server.shutdown()


def test_a_second_seeding_moves_nothing(store: Store) -> None:
    first = store.seed(store.local("otter", "otter"), store.local("team/heron", "heron"))
    assert (first.adapters, first.published) == (2, 2)
    assert first.bytes_moved > 100_000
    assert store.seed(store.local("otter", "otter"), store.local("team/heron", "heron")) == Report(2, 0, 0, 0)


def test_a_changed_adapter_gets_a_new_revision_and_the_old_one_stays(store: Store) -> None:
    store.seed(store.local("house", "otter"))
    old = next(store.bucket.entries())
    store.seed(store.local("house", "heron"))
    new = next(store.bucket.entries())
    assert old.revision != new.revision
    assert len(store.objects(adapter_prefix("house", old.revision))) == len(ADAPTER_FILES)
    assert len(store.objects(adapter_prefix("house", new.revision))) == len(ADAPTER_FILES)


def test_one_bad_adapter_publishes_nothing_and_each_bad_one_is_named(store: Store) -> None:
    store.seed(store.local("good", "otter"))
    with pytest.raises(SeedingFailed) as failed:
        store.seed(
            store.local("good", "heron"),
            store.local("bad-rank", "lynx", {"r": 64}),
            store.local("bad-base", "raven", {"base_model_name_or_path": "other"}),
        )
    assert "2 adapter(s) cannot be published; nothing was changed" in str(failed.value)
    assert "'bad-rank': its rank 64 is above this stage's 8; raise engine.max_adapter_rank" in str(
        failed.value
    )
    assert "'bad-base': it was trained on 'other'" in str(failed.value)
    assert store.names() == ["good"]
    source = next(store.bucket.entries()).revision
    assert store.seed(store.local("good", "otter")).published == 0, source


def test_what_leaves_the_manifest_is_unpublished_and_its_objects_stay(store: Store) -> None:
    store.seed(store.local("stays", "otter"), store.local("goes", "heron"))
    assert store.seed(store.local("stays", "otter")).unpublished == 1
    assert store.names() == ["stays"]
    assert len(store.objects("adapters/goes/")) == len(ADAPTER_FILES)


def test_another_stacks_adapter_is_neither_taken_over_nor_removed(store: Store) -> None:
    store.seed(store.local("theirs", "otter"), owner="other-stack")
    with pytest.raises(SeedingFailed, match="'theirs': the name is published by 'other-stack'"):
        store.seed(store.local("theirs", "heron"))
    assert store.seed(store.local("ours", "heron")).unpublished == 0
    assert store.names() == ["ours", "theirs"]


def test_copies_are_made_inside_s3_and_moved_once(store: Store) -> None:
    original = store.local("otter", "otter")
    report = store.seed(DesiredAdapter([f"otter-{n:04d}" for n in range(1, 6)], original.source, None, {}))
    size = sum((SAMPLES / "otter" / file).stat().st_size for file in ADAPTER_FILES)
    assert (report.adapters, report.bytes_moved) == (5, size)
    entry = store.bucket.entry("otter-0005")
    assert entry is not None
    body = store.s3.get_object(Bucket=store.bucket.name, Key=entry[0].prefix + ADAPTER_FILES[1])[
        "Body"
    ].read()
    assert body == (SAMPLES / "otter" / ADAPTER_FILES[1]).read_bytes()


def test_work_that_runs_out_of_time_publishes_nothing_yet_and_is_finished_by_the_next_call(
    store: Store,
) -> None:
    remaining = iter([True, False])
    adapters = [store.local("otter", "otter"), store.local("heron", "heron")]
    with pytest.raises(OutOfTime):
        store.seed(*adapters, has_time=lambda: next(remaining))
    assert store.names() == []
    report = store.seed(*adapters)
    assert report.published == 2
    one_adapter = sum((SAMPLES / "heron" / file).stat().st_size for file in ADAPTER_FILES)
    assert report.bytes_moved <= one_adapter + 10_000, "what the first call had moved was moved again"


def test_weights_that_do_not_match_the_manifests_sha256_are_refused(store: Store) -> None:
    adapter = store.local("otter", "otter")
    with pytest.raises(SeedingFailed, match="the manifest says " + "0" * 64):
        store.seed(DesiredAdapter(["otter"], adapter.source, "0" * 64, {}))


def test_an_adapter_comes_from_the_hub_with_the_commit_it_resolved_to(store: Store, hub: str) -> None:
    store.seed(DesiredAdapter(["robin"], f"{hub}/robin@main", None, {}))
    entry = next(store.bucket.entries())
    assert entry.source == f"hf://org/robin@{COMMIT}"


def test_what_the_hub_does_not_have_or_cuts_off_is_told_with_a_remedy(store: Store, hub: str) -> None:
    with pytest.raises(
        SeedingFailed, match=r"org/nothing@main adapter_config.json: HTTP 404; check the repository"
    ):
        store.seed(DesiredAdapter(["a"], f"{hub}/nothing@main", None, {}))
    with pytest.raises(SeedingFailed, match=r"org/seal@main|ended after 100 of"):
        store.seed(DesiredAdapter(["b"], f"{hub}/seal@main", None, {}))


def test_an_adapter_comes_from_another_s3_prefix(store: Store) -> None:
    for file in ADAPTER_FILES:
        store.s3.put_object(
            Bucket=store.bucket.name, Key=f"elsewhere/{file}", Body=(SAMPLES / "mole" / file).read_bytes()
        )
    source = f"s3://{store.bucket.name}/elsewhere/"
    store.seed(DesiredAdapter(["mole"], source, None, {}))
    assert next(store.bucket.entries()).source == source
    with pytest.raises(
        SeedingFailed, match="NoSuchKey; check that it exists and that the seeder's role may read it"
    ):
        store.seed(DesiredAdapter(["mole"], f"s3://{store.bucket.name}/nowhere/", None, {}))
