"""Adapters whose weights are a checkpoint of PyTorch, from the Hub, from S3 and from a directory."""

import hashlib
import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load, save

from adapters.files import LocalFile
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.store.transfer import PART_BYTES, OutOfTime
from adapters.validation.rules import Rules
from ingest.archive import Archive
from ingest.hub import Hub
from ingest.model_files import ModelFiles
from lambdas.adapter_seeder.desired_state import DesiredState
from lambdas.adapter_seeder.outcome import Report, SeedingFailed
from laptop_cloud.cloud import LaptopCloud
from stacks.config.loading import load_stage
from stacks.config.local_adapters import stage_rules
from stacks.config.manifest import Manifest, write_json
from stacks.project import ROOT
from tests.harness import factories
from tests.harness.checkpoints import CHECKPOINT_FILE
from tests.harness.sample_adapters import digest_of
from tests.harness.store import Store
from tests.hub import article
from tests.hub.repository import Faults
from tests.hub.server import HubServer

#: As transformers' Trainer leaves it: a pickle of any class.
TRAINING_ARGS = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."


def pickled(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return an adapter's files with a checkpoint in place of its safetensors file."""
    checkpoint = io.BytesIO()
    torch.save(load(files[WEIGHTS_FILE]), checkpoint)
    return {CONFIG_FILE: files[CONFIG_FILE], CHECKPOINT_FILE: checkpoint.getvalue()}


def unpickled(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that are published for an adapter with a checkpoint."""
    tensors = torch.load(io.BytesIO(files[CHECKPOINT_FILE]), weights_only=True)
    return {CONFIG_FILE: files[CONFIG_FILE], WEIGHTS_FILE: save(tensors, metadata={"format": "pt"})}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


FILES = pickled(factories.adapter(1))
PUBLISHED = unpickled(FILES)


def fetched(server: HubServer) -> set[str]:
    """Return the names of the files that were requested from the Hub."""
    return {request.path.rsplit("/", 1)[-1] for request in server.requests if request.route == "resolve"}


def add(server: HubServer, repo: str, files: dict[str, bytes]) -> str:
    return f"hf://{repo}@{server.add(repo, {**files, 'training_args.bin': TRAINING_ARGS})}"


def test_the_default_manifest_is_seeded_from_the_articles_repository(
    laptop: LaptopCloud, server: HubServer, tmp_path: Path
) -> None:
    """The stage `dev` as it is shipped, but for the base model, which the test Hub has under another commit."""
    commit = server.add(article.REPO, article.repository())
    stage = load_stage(ROOT / "stages" / "dev.yaml")
    manifest = Manifest.model_validate(yaml.safe_load((ROOT / "stages/adapters/gsm8k.yaml").read_text()))
    store = Store(laptop.client("s3"), rules=stage_rules(stage.config.engine, stage.config.base_model))
    write_json(
        tmp_path / "manifest.json", {"adapters": manifest.pack(ROOT / "stages", tmp_path), "model": {}}
    )
    adapters = {
        name: item["source"]
        for item in json.loads((tmp_path / "manifest.json").read_text())["adapters"]
        for name in item["names"]
    }
    published = unpickled(article.repository())

    files = {name: LocalFile(path) for name, path in article.base_model(tmp_path).items()}
    base = ModelFiles(article.BASE_MODEL, files, {})

    def seed(manifest: str) -> Report:
        return store.seed(adapters, hub=Hub(server.endpoint), manifest=manifest, base_model=lambda: base)

    report = seed("first")
    assert report == Report(50, 50, 0, sum(map(len, published.values())))
    assert store.names() == [f"gsm8k-{number:04d}" for number in range(1, 51)]
    store.check()
    for name in ("gsm8k-0001", "gsm8k-0050"):
        entry = store.entry(name)
        assert store.objects(entry.prefix) == {entry.prefix + file: data for file, data in published.items()}
        assert (entry.rank, entry.digest) == (8, digest_of(published))
        assert (entry.converted_from, entry.source) == (CHECKPOINT_FILE, f"hf://{article.REPO}@{commit}")
        assert entry.source_sha256 == sha256(article.repository()[CHECKPOINT_FILE])
        assert entry.sha256 == sha256(published[WEIGHTS_FILE])
    assert fetched(server) == {CONFIG_FILE, CHECKPOINT_FILE}
    sent = sum(request.bytes_sent for request in server.requests if request.host == "cdn")
    assert sent < 2.3 * len(article.repository()[CHECKPOINT_FILE]), (
        "once for the digests, once to be uploaded"
    )

    server.reset_requests()
    assert seed("first") == Report(50, 0, 0, 0)
    assert seed("second") == Report(50, 0, 0, 0)
    assert fetched(server) == set()


def test_safetensors_win_and_the_checkpoint_beside_them_is_not_read(store: Store, server: HubServer) -> None:
    other = pickled(factories.adapter(2))
    source = add(server, "acme/both", {**factories.adapter(1), CHECKPOINT_FILE: other[CHECKPOINT_FILE]})
    store.seed({"both": source}, hub=Hub(server.endpoint))
    assert store.entry("both").digest == digest_of(factories.adapter(1))
    assert (store.entry("both").converted_from, store.entry("both").source_sha256) == ("", "")
    assert fetched(server) == {CONFIG_FILE, WEIGHTS_FILE}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.pt", "checkpoint/adapter_model.bin"])
def test_other_pickles_are_no_weights_and_never_read(store: Store, server: HubServer, name: str) -> None:
    source = add(server, "acme/other", {CONFIG_FILE: FILES[CONFIG_FILE], name: FILES[CHECKPOINT_FILE]})
    with pytest.raises(SeedingFailed, match=r"has no adapter_model.safetensors and no adapter_model.bin"):
        store.seed({"other": source}, hub=Hub(server.endpoint))
    assert fetched(server) == set()


def test_a_malicious_checkpoint_fails_the_deploy_before_anything_is_transferred(
    store: Store, server: HubServer, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> Any:
            return eval, (f"open({str(canary)!r}, 'w')",)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as checkpoint:
        checkpoint.writestr("adapter_model/data.pkl", pickle.dumps({"weight": Attack()}, protocol=2))
    files = {CONFIG_FILE: FILES[CONFIG_FILE], CHECKPOINT_FILE: archive.getvalue()}
    adapters = {"bad": add(server, "acme/bad", files), "good": add(server, "acme/good", FILES)}
    with pytest.raises(SeedingFailed) as failed:
        store.seed(adapters, hub=Hub(server.endpoint))
    assert "adapter 'bad': hf://acme/bad@" in str(failed.value)
    assert "adapter_model.bin names '__builtin__.eval', which is no part of an adapter's" in str(failed.value)
    assert not canary.exists()
    assert store.objects("adapters/") == {}
    assert store.names() == []


def test_the_manifests_sha256_is_that_of_the_checkpoint(store: Store, server: HubServer) -> None:
    source = add(server, "acme/pinned", FILES)
    hub = Hub(server.endpoint)
    of_source, of_published = sha256(FILES[CHECKPOINT_FILE]), sha256(PUBLISHED[WEIGHTS_FILE])
    with pytest.raises(SeedingFailed, match=f"its weights hash to {of_source}, expected {'0' * 64}"):
        store.seed({"pinned": source}, hub=hub, sha256={"pinned": "0" * 64})
    with pytest.raises(
        SeedingFailed, match=f"expected {of_published}; .*that of the source's adapter_model.bin"
    ):
        store.seed({"pinned": source}, hub=hub, sha256={"pinned": of_published})
    store.seed({"pinned": source}, hub=hub, sha256={"pinned": of_source})
    server.reset_requests()
    for pin in (of_source, None):
        again = store.seed({"pinned": source}, hub=hub, sha256={"pinned": pin} if pin else {})
        assert again == Report(1, 0, 0, 0)
    assert fetched(server) == set()


def test_a_checkpoint_that_is_damaged_on_the_way_is_noticed(store: Store, server: HubServer) -> None:
    source = add(server, "acme/damaged", FILES)
    server.faults = Faults(corrupt={CHECKPOINT_FILE})
    with pytest.raises(SeedingFailed) as failed:
        store.seed({"damaged": source}, hub=Hub(server.endpoint))
    assert f"expected {sha256(FILES[CHECKPOINT_FILE])}; the source was damaged" in str(failed.value)
    assert store.objects("adapters/") == {}


def test_other_rules_do_not_forget_that_it_was_converted(store: Store, server: HubServer) -> None:
    source = add(server, "acme/large", FILES)
    store.seed({"one": source}, hub=Hub(server.endpoint))
    server.reset_requests()
    store.rules = Rules("vllm", 32, factories.BASE, None)
    store.seed({"one": source, "two": source}, hub=Hub(server.endpoint))
    one, two = store.entry("one"), store.entry("two")
    assert one.checked_for == two.checked_for
    assert (one.converted_from, one.source_sha256) == (two.converted_from, two.source_sha256)
    assert one.source_sha256 == sha256(FILES[CHECKPOINT_FILE])
    assert fetched(server) == set(), "the store's own copy was checked and copied"
    store.check()


def test_a_conversion_in_parts_continues_where_it_stopped(store: Store, server: HubServer) -> None:
    files = pickled(factories.adapter(3, mebibytes=72))
    source = add(server, "acme/large", files)
    prefix = f"adapters/large/{digest_of(unpickled(files))[:16]}/"
    parts = set()
    # Reading the object back, after parts of it came from several invocations, takes a call per MiB.
    for limit in (*range(1, 30, 2), 400):
        calls = iter([True] * limit)
        try:
            store.seed(
                {"large": source}, hub=Hub(server.endpoint), has_time=lambda calls=calls: next(calls, False)
            )
        except OutOfTime:
            uploads = store.s3.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])
            assert {upload["Key"] for upload in uploads} <= {prefix + WEIGHTS_FILE}, (
                "always the same revision"
            )
            for upload in uploads:
                target = {"Bucket": store.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                parts.add(len(store.s3.list_parts(**target).get("Parts", [])))
            continue
        break
    assert parts & {1, 2}, "it was interrupted between two parts"
    assert len(files[CHECKPOINT_FILE]) > 2 * PART_BYTES
    store.check()
    assert store.objects(prefix) == {prefix + file: content for file, content in unpickled(files).items()}


def test_a_hub_on_a_bad_day_is_waited_for(
    store: Store, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.hub.time.sleep", lambda _: None)
    source = add(server, "acme/large", pickled(factories.adapter(4, mebibytes=40)))
    server.faults = Faults(truncate_every=4, server_error_every=5, rate_limit_every=4)
    store.seed({"large": source}, hub=Hub(server.endpoint))
    store.check()


class Bucket:
    """A prefix of another bucket, as a source."""

    def __init__(self, store: Store) -> None:
        self.s3 = store.s3
        self.name = Store(store.s3).bucket
        self.source = f"s3://{self.name}/team/heron/"

    def put(self, files: dict[str, bytes]) -> None:
        for file, content in files.items():
            self.s3.put_object(Bucket=self.name, Key=f"team/heron/{file}", Body=content)


def test_a_checkpoint_in_s3_has_the_same_revision_and_is_read_again_if_it_changes(store: Store) -> None:
    bucket = Bucket(store)
    bucket.put(FILES | {"training_args.bin": TRAINING_ARGS})
    store.seed({"heron": bucket.source}, manifest="1")
    entry = store.entry("heron")
    assert (entry.digest, entry.converted_from) == (digest_of(PUBLISHED), CHECKPOINT_FILE)
    assert store.seed({"heron": bucket.source}, manifest="2") == Report(1, 0, 0, 0)
    bucket.put(pickled(factories.adapter(2)))
    store.seed({"heron": bucket.source}, manifest="3")
    assert store.entry("heron").digest == digest_of(unpickled(pickled(factories.adapter(2))))
    bucket.put({WEIGHTS_FILE: factories.adapter(2)[WEIGHTS_FILE]})
    store.seed({"heron": bucket.source}, manifest="4")
    assert (store.entry("heron").digest, store.entry("heron").converted_from) == (
        digest_of(factories.adapter(2)),
        "",
    )
    store.check()


def test_a_prefix_without_weights_is_refused(store: Store) -> None:
    bucket = Bucket(store)
    bucket.put({CONFIG_FILE: FILES[CONFIG_FILE], "training_args.bin": TRAINING_ARGS})
    with pytest.raises(SeedingFailed, match="the prefix has no adapter_model.safetensors and no adapter_mod"):
        store.seed({"heron": bucket.source})


def packed(tmp_path: Path, directories: dict[str, dict[str, bytes]], **pins: str) -> DesiredState:
    """Return what the seeder gets for these directories of a manifest."""
    target = tmp_path / "asset"
    shutil.rmtree(target, ignore_errors=True)
    for name, files in directories.items():
        (tmp_path / name).mkdir(exist_ok=True)
        for file, content in files.items():
            (tmp_path / name / file).write_bytes(content)
    adapters = [{"name": name, "source": name, "sha256": pins.get(name)} for name in directories]
    target.mkdir()
    content = {
        "adapters": Manifest.model_validate({"adapters": adapters}).pack(tmp_path, target),
        "removals": 0.2,
        "model": {},
    }
    write_json(target / "manifest.json", content)
    archive = shutil.make_archive(str(tmp_path / "asset"), "zip", target)
    return DesiredState.read("asset", Archive(LocalFile(Path(archive))))


def test_a_directory_is_converted_by_synth_and_its_entry_says_so(store: Store, tmp_path: Path) -> None:
    directories = {"heron": FILES, "otter": factories.adapter(2), "twin": PUBLISHED}
    desired = packed(tmp_path, directories)
    seeder = store.seeding({})
    seeder._desired = desired
    report = seeder.run()
    assert report.published == 3
    heron, otter, twin = (store.entry(name) for name in directories)
    assert (heron.digest, twin.digest) == (digest_of(PUBLISHED), digest_of(PUBLISHED))
    assert (heron.converted_from, heron.source_sha256) == (CHECKPOINT_FILE, sha256(FILES[CHECKPOINT_FILE]))
    assert otter.converted_from == twin.converted_from == ""
    assert heron.source != twin.source, "the file that it was converted from is part of the source"
    store.check()
    again = store.seeding({})
    again._desired = packed(tmp_path, directories)
    assert again.run() == Report(3, 0, 0, 0)
