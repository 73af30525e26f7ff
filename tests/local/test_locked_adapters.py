"""Adapters that a stage takes from another one's store by a lock: written, checked, seeded, rolled back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from adapters.store.layout import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE, RegistryEntry
from adapters.store.publishing import BY_HAND
from adapters.store.registry import AdapterRegistry
from lambdas.adapter_seeder.outcome import Report, SeedingFailed
from laptop_cloud.aws_isolation import aws_variables
from laptop_cloud.cloud import LaptopCloud
from loraserve.__main__ import app
from loraserve.adapters.compare import served_differences
from loraserve.adapters.lock import NotLockable, lock_adapters
from loraserve.adapters.lock_rollback import rollback_to_lock
from loraserve.adapters.locked_revisions import check_locked_adapters, missing_revisions
from loraserve.adapters.open_store import find_stage
from loraserve.adapters.rollback import NoRevision
from loraserve.adapters.stage_store import StageStore
from loraserve.finding import State
from stacks.config.loading import load_stage
from stacks.config.manifest import Manifest
from stacks.facts import PackedAdapterFacts
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

STAGE = """
account: "000000000000"
engine: {{name: vllm, max_adapter_rank: 8, adapter_target_modules: [q_proj, v_proj]}}
base_model: {{name: tiny-mistral, path: {base}}}
adapters: {name}.lock.yaml
{more}
"""
BASE = ROOT / "samples" / "base"
STACK = "LoraServing-Dev-AdapterStore"


class Chain:
    """The stages dev and staging with a bucket each; dev serves two sample adapters."""

    def __init__(self, laptop: LaptopCloud, folder: Path) -> None:
        self.laptop = laptop
        self.folder = folder
        self.dev, self.staging = Store(laptop.client("s3")), Store(laptop.client("s3"))
        self.write("dev", "")
        self.write("staging", "promote_from: dev\nadapters_locked: true")
        self.serve({"otter": sample_files("otter"), "team/heron": sample_files("heron")})

    def write(self, name: str, more: str) -> None:
        (self.folder / f"{name}.yaml").write_text(STAGE.format(base=BASE, name=name, more=more))
        (self.folder / f"{name}.lock.yaml").write_text("adapters: []\n")

    def serve(self, adapters: dict[str, Any], **options: Any) -> None:
        """Seed dev."""
        self.dev.seed(adapters, owner=STACK, **options)

    def store(self, name: str) -> StageStore:
        stage = find_stage(str(self.folder / f"{name}.yaml"))
        return StageStore(stage, self.laptop.client("s3"), getattr(self, name).bucket)

    @property
    def lock(self) -> Path:
        return self.folder / "staging.lock.yaml"

    def locked(self) -> list[dict[str, Any]]:
        """Lock dev's adapters, and return the packed manifest of staging."""
        self.lock.write_text(lock_adapters(self.store("dev")).text)
        stage = load_stage(self.folder / "staging.yaml")
        return stage.manifest.pack(self.folder, self.folder)

    def facts(self) -> list[PackedAdapterFacts]:
        return [PackedAdapterFacts.model_validate(item) for item in self.locked()]

    def take(self, packed: list[dict[str, Any]]) -> Report:
        """Seed staging; the Hub does not answer."""
        items = {name: item for item in packed for name in item["names"]}
        return self.staging.seed(
            {name: item["source"] for name, item in items.items()},
            digests={name: item["digest"] for name, item in items.items()},
            sha256={name: item["sha256"] for name, item in items.items()},
            origins={name: item["origin"] for name, item in items.items()},
        )

    def set(self, name: str, **values: Any) -> None:
        """Change dev's registry entry."""
        registry = AdapterRegistry(self.dev.s3, self.dev.bucket)
        seen = registry.get(name)
        assert seen is not None
        registry.put(RegistryEntry.from_dict(vars(seen.entry) | values), seen)

    def change_byte(self, key: str) -> None:
        body = self.dev.s3.get_object(Bucket=self.dev.bucket, Key=key)["Body"].read()
        # A blank of the config, and a byte of the last tensor: a valid adapter all the same.
        changed = body.replace(b": ", b":\n", 1) if key.endswith(CONFIG_FILE) else body[:-1] + b"\0"
        assert len(changed) == len(body) and changed != body
        self.dev.s3.put_object(Bucket=self.dev.bucket, Key=key, Body=changed)

    def run(self, *arguments: str) -> Result:
        environment = aws_variables(self.laptop.url) | {"AWS_PROFILE": None, "AWS_SESSION_TOKEN": None}
        return CliRunner().invoke(app, ["adapters", *arguments], env=environment | {"COLUMNS": "200"})


@pytest.fixture
def chain(laptop: LaptopCloud, tmp_path: Path) -> Iterator[Chain]:
    return Chain(laptop, tmp_path)


def test_a_locked_stage_gets_the_same_bytes_without_a_hub_and_keeps_their_origin(chain: Chain) -> None:
    origin = "hf://acme/otter@" + "0" * 40
    chain.set("otter", source=origin)
    packed = chain.locked()
    assert chain.take(packed).published == 2
    chain.staging.check()
    for name in ("otter", "team/heron"):
        here, there = chain.dev.entry(name), chain.staging.entry(name)
        assert (there.digest, there.sha256) == (here.digest, here.sha256)
        assert chain.staging.objects(there.prefix) == chain.dev.objects(here.prefix)
    assert chain.staging.entry("otter").origin == origin
    assert chain.take(packed) == Report(2, 0, 0, 0)
    # The next stage takes them from staging, and the origin is that of the first one.
    again = Manifest.model_validate(yaml.safe_load(lock_adapters(chain.store("staging")).text))
    assert {one.origin for one in again.adapters if one.name == "otter"} == {origin}
    assert {one.source.split("/")[2] for one in again.adapters} == {chain.staging.bucket}


def test_limits_travel_with_a_lock_and_those_of_a_tenant_are_the_same_for_all(chain: Chain) -> None:
    acme = {"tenant": "acme"}
    chain.set("otter", labels=acme, limits={"max_concurrent": 4}, tenant_limits={"priority": 2})
    chain.set("team/heron", labels=acme, tenant_limits={"priority": 2})
    found = {item["names"][0]: (item["limits"], item["tenant_limits"]) for item in chain.locked()}
    assert found == {"otter": ({"max_concurrent": 4}, {"priority": 2}), "team/heron": ({}, {"priority": 2})}
    chain.set("team/heron", tenant_limits={})
    with pytest.raises(
        NotLockable, match=r"heron: the limits of its tenant 'acme' are none, .* are priority=2"
    ):
        lock_adapters(chain.store("dev"))


@pytest.mark.parametrize("file", ADAPTER_FILES)
def test_a_changed_byte_in_the_giving_store_is_refused_and_the_old_revision_serves(
    chain: Chain, file: str
) -> None:
    chain.take(chain.locked())
    before = chain.staging.objects("registry/")
    chain.serve({"otter": sample_files("badger"), "team/heron": sample_files("heron")})
    packed = chain.locked()
    chain.change_byte(chain.dev.entry("otter").prefix + file)
    with pytest.raises(SeedingFailed, match="otter"):
        chain.take(packed)
    assert chain.staging.objects("registry/") == before
    assert len(chain.staging.objects("adapters/")) == 4


def test_a_revision_that_was_taken_needs_the_giving_store_no_more(chain: Chain) -> None:
    old = chain.locked()
    chain.take(old)
    first = chain.staging.entry("otter")
    chain.serve({"otter": sample_files("badger"), "team/heron": sample_files("heron")})
    chain.take(chain.locked())
    for key in chain.dev.objects():
        chain.dev.s3.delete_object(Bucket=chain.dev.bucket, Key=key)
    assert chain.take(old).published == 1
    assert chain.staging.entry("otter").digest == first.digest
    assert chain.staging.tags(first.prefix + WEIGHTS_FILE) == []
    chain.staging.check()


def test_an_entry_of_an_older_version_is_completed_by_the_next_seeding(chain: Chain) -> None:
    chain.set("otter", sha256="")
    with pytest.raises(NotLockable, match=r"otter: .*no sha256.*changed manifest"):
        lock_adapters(chain.store("dev"))
    chain.serve(
        {"otter": sample_files("otter"), "team/heron": sample_files("heron")}, labels={"otter": {"a": "b"}}
    )
    assert "otter" in lock_adapters(chain.store("dev")).text


def test_what_must_not_be_taken_is_not_locked(chain: Chain) -> None:
    store = chain.store("dev")
    chain.set("otter", owner=BY_HAND)
    with pytest.raises(NotLockable, match=r"otter: it was published by hand.*--by-hand"):
        lock_adapters(store)
    assert "team/heron" in lock_adapters(store, names=["team/heron"]).text
    assert len(lock_adapters(store, by_hand=True).entries) == 2
    chain.set("otter", owner=STACK, source="hf://acme/otter@main")
    with pytest.raises(NotLockable, match=r"otter: its origin hf://acme/otter@main is a branch"):
        lock_adapters(store)
    chain.set("otter", source="./otter", base_model="acme/other")
    with pytest.raises(NotLockable, match="checked for the base model acme/other"):
        lock_adapters(store)
    chain.set("otter", base_model="tiny-mistral")
    chain.change_byte(chain.dev.entry("otter").prefix + WEIGHTS_FILE)
    with pytest.raises(NotLockable, match="adapter_model.safetensors is not what was published"):
        lock_adapters(store)


def test_the_command_writes_the_manifest_of_the_stage_that_takes_and_says_what_it_lacks(
    chain: Chain,
) -> None:
    dev = ("--stage", str(chain.folder / "dev.yaml"), "--bucket", chain.dev.bucket)
    chain.write("staging", "promote_from: dev\nadapters_locked: true")
    text = (chain.folder / "staging.yaml").read_text().replace('"000000000000"', '"222222222222"')
    (chain.folder / "staging.yaml").write_text(text)
    done = chain.run(*dev, "lock", "--out", str(chain.lock))
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "add its account, '222222222222', to store_readers of stage 'dev'" in done.stderr
    assert [one.name for one in load_stage(chain.folder / "staging.yaml").manifest.adapters] == [
        "otter",
        "team/heron",
    ]
    assert chain.run(*dev, "lock").stdout == chain.lock.read_text()
    (chain.folder / "staging.yaml").write_text(text.replace(str(BASE), str(_other_model(chain.folder))))
    refused = chain.run(*dev, "lock", "--out", str(chain.folder / "no.yaml"))
    assert refused.exit_code == 1
    assert "give both stages the same name and revision" in refused.stderr
    assert not (chain.folder / "no.yaml").exists()


def test_a_promotion_finds_out_beforehand_what_cannot_be_taken(chain: Chain) -> None:
    facts = chain.facts()
    s3 = chain.laptop.client("s3")

    def found() -> list[str]:
        checked = check_locked_adapters(
            s3, facts, giving="dev", giving_bucket=chain.dev.bucket, own_bucket=None
        )
        return [f"{one.state} {one.found}" for one in checked]

    assert found() == [f"{State.OK} 2, as in the registry of stage 'dev', readable from here"]
    chain.change_byte(chain.dev.entry("otter").prefix + CONFIG_FILE)
    assert found() == [f"{State.PROBLEM} otter: its files in {chain.dev.bucket} are not what was published"]
    s3.delete_object(Bucket=chain.dev.bucket, Key=chain.dev.entry("otter").prefix + WEIGHTS_FILE)
    assert found() == [f"{State.PROBLEM} otter: S3 answers NoSuchKey to its files in {chain.dev.bucket}"]
    chain.serve({"otter": sample_files("badger")}, removals=1.0)
    assert found() == [
        f"{State.PROBLEM} otter: stage 'dev' serves another revision of it than is locked",
        f"{State.PROBLEM} team/heron: stage 'dev' does not serve it",
    ]
    other = check_locked_adapters(
        s3, facts[:1], giving="qa", giving_bucket=chain.staging.bucket, own_bucket=None
    )
    assert [one.found for one in other] == [
        f"otter: its source is in the bucket {chain.dev.bucket}, which is neither the store of stage 'qa' "
        "nor the stage's own"
    ]


def test_expired_revisions_are_named(chain: Chain) -> None:
    facts = chain.facts()
    digests = {name: one.digest for one in facts for name in one.names}
    assert missing_revisions(chain.dev.s3, chain.dev.bucket, digests | {"any": None}) == []
    key = chain.dev.entry("team/heron").prefix + CONFIG_FILE
    chain.dev.s3.delete_object(Bucket=chain.dev.bucket, Key=key)
    assert missing_revisions(chain.dev.s3, chain.dev.bucket, digests) == ["team/heron"]


def test_stages_are_compared_and_what_a_lock_declares_is_no_surprise(chain: Chain) -> None:
    chain.take(chain.locked())
    assert served_differences(chain.store("dev"), chain.store("staging")) == []
    chain.serve({"otter": sample_files("badger"), "team/heron": sample_files("heron")})
    [otter] = served_differences(chain.store("dev"), chain.store("staging"))
    assert (otter.name, otter.giving, otter.taking, otter.is_declared) == (
        "otter",
        chain.dev.entry("otter").revision,
        chain.staging.entry("otter").revision,
        True,
    )
    chain.locked()
    [otter] = served_differences(chain.store("dev"), chain.store("staging"))
    assert not otter.is_declared


def test_a_registry_goes_back_to_a_lock_as_a_whole_or_not_at_all(chain: Chain) -> None:
    packed = chain.locked()
    chain.take(packed)
    before = {name: chain.staging.entry(name) for name in chain.staging.names()}
    old = chain.folder / "old.lock.yaml"
    old.write_text(chain.lock.read_text())
    chain.serve({"otter": sample_files("badger"), "new": sample_files("lynx")}, removals=1.0)
    chain.take(chain.locked())
    chain.staging.seed({}, removals=1.0)
    chain.take(chain.locked())
    staging = ("--stage", str(chain.folder / "staging.yaml"), "--bucket", chain.staging.bucket)
    done = chain.run(*staging, "rollback", "--to-lock", str(old))
    assert done.exit_code == 0, done.output
    assert "2 adapters rolled back" in done.output
    assert "not in the lock, and unchanged: new" in done.output
    for name, entry in before.items():
        assert chain.staging.entry(name) == entry
        assert chain.staging.tags(entry.prefix + WEIGHTS_FILE) == []
    chain.staging.check()
    document = json.loads(chain.run(*staging, "rollback", "--to-lock", str(old), "--json").stdout)
    assert (document["results"], document["not_in_lock"]) == ([], ["new"])

    chain.take(chain.locked())
    after = chain.staging.objects("registry/")
    key = before["team/heron"].prefix + CONFIG_FILE
    chain.staging.s3.delete_object(Bucket=chain.staging.bucket, Key=key)
    with pytest.raises(NoRevision, match="team/heron"):
        rollback_to_lock(chain.store("staging"), {name: one.digest for name, one in before.items()})
    assert chain.staging.objects("registry/") == after


def _other_model(folder: Path) -> Path:
    other = folder / "other"
    other.mkdir()
    for file in BASE.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"note": 1}))
    return other
