"""Adapters in folders of one repository, of one prefix, and of a mirror below a path."""

import pytest

from adapters.store.layout import CONFIG_FILE
from adapters.store.transfer import OutOfTime
from ingest.hub import Hub
from lambdas.adapter_seeder.outcome import SeedingFailed
from tests.harness import factories
from tests.harness.sample_adapters import digest_of
from tests.harness.store import Store
from tests.hub.server import HubServer

FOLDERS = {
    "en": factories.adapter(1),
    "de": factories.adapter(2),
    "runs/checkpoint-500": factories.adapter(3),
}
FILES = {f"{folder}/{file}": content for folder, files in FOLDERS.items() for file, content in files.items()}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 59408\n"


def test_folders_of_a_repository_are_adapters(store: Store, server: HubServer) -> None:
    commit = server.add("acme/all", dict(FILES))
    sources = {folder.lower(): f"hf://acme/all/{folder}@{commit}" for folder in FOLDERS}
    # As huggingface_hub's URIs have it: the same source.
    given = sources | {"en": f"hf://acme/all@{commit}/en"}
    assert store.seed(given, hub=Hub(server.endpoint)).published == len(FOLDERS)
    for name, files in FOLDERS.items():
        assert store.entry(name).source == sources[name]
        assert store.entry(name).digest == digest_of(files)
    store.check()
    server.reset_requests()
    assert store.seed(sources, hub=Hub(server.endpoint)).published == 0
    assert server.requests == [], "an unchanged source needs no Hub, however its folder is written"


def test_a_branch_is_one_commit_for_all_of_its_folders(store: Store, server: HubServer) -> None:
    commit = server.add("acme/all", dict(FILES))
    adapters = {"en": "hf://acme/all/en@main", "de": "hf://acme/all/de@main"}
    calls = iter([True] * 7)
    with pytest.raises(OutOfTime):
        store.seed(adapters, hub=Hub(server.endpoint), manifest="one", has_time=lambda: next(calls, False))
    moved = FILES | {f"de/{file}": content for file, content in factories.adapter(4).items()}
    server.add("acme/all", dict(moved))
    store.seed(adapters, hub=Hub(server.endpoint), manifest="one")
    assert store.entry("en").source == f"hf://acme/all/en@{commit}"
    assert store.entry("de").source == f"hf://acme/all/de@{commit}"
    assert store.status()["warnings"] == [
        f"hf://acme/all@main is not pinned: it is {commit} now; pin it before promotion"
    ]
    store.seed(adapters, hub=Hub(server.endpoint), manifest="two")
    assert store.entry("de").digest == digest_of(factories.adapter(4))


def test_a_repository_without_adapter_at_its_root(store: Store, server: HubServer) -> None:
    commit = server.add("acme/all", dict(FILES))
    with pytest.raises(SeedingFailed) as failed:
        store.seed({"all": f"hf://acme/all@{commit}"}, hub=Hub(server.endpoint))
    assert (
        f"adapter 'all': hf://acme/all@{commit}: the repository has no adapter_config.json; 3 folders have an "
        f"adapter: de, en, runs/checkpoint-500; name one of them, as hf://acme/all/de@{commit}"
    ) in str(failed.value)


@pytest.mark.parametrize(
    ("files", "reported"),
    [
        (FILES, "3 folders have an adapter: de, en, runs/checkpoint-500; name one of them, as {}de/"),
        (
            {"output/model.tar.gz": b"\x1f\x8b"},
            "but the archive output/model.tar.gz; unpack it with `mkdir model && aws s3 cp {}output/model.tar.gz - "
            "| tar -xz -C model && aws s3 cp --recursive model {}output/model/`, and name {}output/model/",
        ),
        ({"config.json": b"{}", "model.safetensors": b""}, "it is a whole model, not an adapter"),
        (
            {CONFIG_FILE: POINTER, "adapter_model.bin": POINTER},
            "its adapter_config.json is a Git LFS pointer",
        ),
        (
            {CONFIG_FILE: FOLDERS["en"][CONFIG_FILE], "adapter_model.bin": POINTER},
            "its adapter_model.bin is a Git LFS pointer",
        ),
    ],
)
def test_a_prefix_without_adapter(store: Store, files: dict[str, bytes], reported: str) -> None:
    for file, content in files.items():
        store.s3.put_object(Bucket=store.bucket, Key=f"job/{file}", Body=content)
    source = f"s3://{store.bucket}/job/"
    with pytest.raises(SeedingFailed) as failed:
        store.seed({"job": source})
    assert reported.replace("{}", source) in str(failed.value)


def test_a_mirror_below_a_path(store: Store) -> None:
    with HubServer(path="/repository/hf-proxy") as mirror:
        commit = mirror.add("acme/all", dict(FILES))
        store.seed({"en": f"hf://acme/all/en@{commit}"}, hub=Hub(mirror.endpoint))
    assert store.entry("en").digest == digest_of(FOLDERS["en"])
