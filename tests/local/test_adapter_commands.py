"""The `adapters` commands, against the laptop cloud's S3 and the test Hub."""

import _thread
import hashlib
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from typer.testing import CliRunner

from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, RegistryEntry, adapter_prefix
from adapters.store.publishing import BY_HAND, Change, publish
from adapters.store.registry import PublishConflict
from adapters.store.transfer import PARALLEL_PARTS, PART_BYTES, Transfers
from laptop_cloud.aws_isolation import aws_variables
from laptop_cloud.cloud import LaptopCloud
from laptop_cloud.detached import down, up
from loraserve.__main__ import app
from loraserve.adapters import check as checking
from loraserve.adapters.check import StageBase
from loraserve.adapters.garbage_collection import Action, collect
from loraserve.adapters.open_store import find_stage
from loraserve.adapters.publish import Publication
from loraserve.adapters.rollback import NoRevision, history, remove, rollback
from loraserve.adapters.stage_store import StageStore
from loraserve.adapters.verify import StoreFinding, verify
from loraserve.local_stage import STATE
from stacks.project import ROOT
from tests.hub.server import HubServer

SAMPLES = ROOT / "samples" / "adapters"
STAGE = """
account: "{account}"
engine:
  name: vllm
  max_input_tokens: 256
  max_total_tokens: 512
  default_new_tokens: 64
  max_new_tokens: 256
  max_adapter_rank: 8
  adapter_target_modules: [q_proj, v_proj]
base_model: {model}
adapters: adapters.yaml
hub_endpoint: {hub}
retention_days: 30
autoscaling: {{target: 5}}  # none is derived without the model's size
"""
LOCAL_MODEL = {"name": "tiny-mistral", "path": str(ROOT / "samples" / "base")}
NO_MODEL = {"name": "tiny-mistral", "revision": "0" * 40}
DAY = timedelta(days=1)
STACK = "LoraServing-Shop-AdapterStore"


class Shop:
    """A stage with a separate bucket, used through the command line and the modules behind it."""

    def __init__(self, laptop: LaptopCloud, folder: Path, hub: HubServer) -> None:
        self.laptop = laptop
        self.folder = folder
        self.hub = hub
        self.s3 = laptop.client("s3")
        self.bucket = f"shop-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        (folder / "adapters.yaml").write_text("adapters: []\n")
        self.stage = folder / "shop.yaml"
        self.configure()

    def configure(self, model: dict[str, str] = LOCAL_MODEL, account: str = "000000000000") -> None:
        text = STAGE.format(model=json.dumps(model), account=account, hub=self.hub.endpoint)
        self.stage.write_text(text)

    @property
    def store(self) -> StageStore:
        return StageStore(find_stage(str(self.stage)), self.s3, self.bucket)

    @property
    def environment(self) -> dict[str, str]:
        return aws_variables(self.laptop.url) | {"COLUMNS": "200", "HF_HOME": str(self.folder / "hf")}

    @property
    def options(self) -> list[str]:
        return ["adapters", "--stage", str(self.stage), "--bucket", self.bucket]

    def run(self, *arguments: str) -> Result:
        unset = dict.fromkeys(("AWS_PROFILE", "AWS_SESSION_TOKEN", "HF_TOKEN"))
        return CliRunner().invoke(app, [*self.options, *arguments], env=unset | self.environment)

    def ok(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        document = json.loads(result.stdout)
        assert (document["stage"], document["bucket"]) == ("shop", self.bucket)
        return document

    def fails(self, *arguments: str, code: int = 1) -> str:
        for extra in ((), ("--json",)):
            result = self.run(*arguments, *extra)
            assert (result.exit_code, result.stdout) == (code, ""), result.output
        return " ".join(result.stderr.split())

    def publish(self, name: str, sample: str) -> RegistryEntry:
        """Below the command line; gives the entry."""
        store, base = self.store, checking.read_base(self.store.stage)
        publication = Publication.begin(store, name)
        examined = checking.check(store, name, str(SAMPLES / sample), base)
        publication.transfer(examined)
        return publication.finish(examined, base).entry

    def give_to_stack(self, name: str, source: str = "asset://" + "0" * 64 + "/") -> None:
        seen = self.store.get(name)
        entry = RegistryEntry.from_dict(vars(seen.entry) | {"owner": STACK, "source": source})
        publish(self.store.registry, [Change(seen, entry)])

    def verified(self) -> list[StoreFinding]:
        store = self.store
        names = [found.entry.name for found in store.list()]
        return verify(store, names, checking.read_base(store.stage).facts)

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def body(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def collect(self, days: float = 0, min_age: timedelta = DAY, **more: Any) -> list[tuple[str, str]]:
        """Return the actions of a garbage collection after so many days."""
        done = collect(more.pop("store", self.store), min_age=min_age, now=later(days), **more)
        return [(action.kind, action.key) for action in done]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def shop(laptop: LaptopCloud, tmp_path: Path, hub: HubServer) -> Shop:
    return Shop(laptop, tmp_path, hub)


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days, seconds=1)


def files(sample: str) -> dict[str, bytes | Path]:
    return {file: SAMPLES / sample / file for file in (CONFIG_FILE, WEIGHTS_FILE)}


def large_adapter(folder: Path, parts: int) -> Path:
    """A valid adapter of so many parts, for a base model of which nothing is known."""
    columns = (parts * PART_BYTES - 1000) // (2 * 8 * 4)
    folder.mkdir()
    config = json.loads((SAMPLES / "otter" / CONFIG_FILE).read_bytes())
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"target_modules": ["q_proj"]}))
    layer, size = "base_model.model.model.layers.0.self_attn.q_proj", 8 * columns * 4
    header = json.dumps(
        {
            f"{layer}.lora_A.weight": {"dtype": "F32", "shape": [8, columns], "data_offsets": [0, size]},
            f"{layer}.lora_B.weight": {
                "dtype": "F32",
                "shape": [columns, 8],
                "data_offsets": [size, 2 * size],
            },
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 2 * size)
    return folder


# publish, list, show, validate


def test_names_that_begin_alike_are_published_and_verified_side_by_side(shop: Shop) -> None:
    names = {
        "x/1": "otter",
        "x/10": "heron",
        "acme": "badger",
        "acme-corp": "lynx",
        "v1": "raven",
        "v1.1": "stoat",
    }
    for name, sample in names.items():
        shop.ok("publish", str(SAMPLES / sample), "--name", name)
    listed = shop.json("list")["adapters"]
    assert [row["name"] for row in listed] == sorted(names)
    assert [row["name"] for row in shop.json("list", "x/1")["adapters"]] == ["x/1", "x/10"]
    assert [row["name"] for row in shop.json("list", "v1")["adapters"]] == ["v1", "v1.1"]
    for row in listed:
        shown = shop.json("show", row["name"])
        assert len(shown["history"]) == 1
        assert set(shown["objects"]) == {CONFIG_FILE, WEIGHTS_FILE}
    assert shop.json("verify") | {"warning": None} == {
        "stage": "shop", "bucket": shop.bucket, "checked": 6, "warning": None, "findings": [],
    }  # fmt: skip
    assert shop.collect(days=100) == []


def test_the_list_shows_what_there_is_to_know_in_one_row(shop: Shop) -> None:
    assert "no adapters are published here" in shop.ok("list")
    shop.ok(
        "publish",
        str(SAMPLES / "otter"),
        "--name",
        "team/otter",
        "--label",
        "by=ana",
        "--label",
        "for=[b]x=1",
    )
    entry = shop.store.get("team/otter").entry
    head, row = (line for line in shop.ok("list").splitlines() if "revision" in line or "team/otter" in line)
    assert head.split() == ["name", "revision", "rank", "size", "published", "owner", "source", "labels"]
    for text in (
        entry.revision,
        " 8 ",
        "59.4 kB",
        BY_HAND,
        f"{datetime.now():%Y-%m-%d}",
        "by=ana, for=[b]x=1",
    ):
        assert text in row
    (found,) = shop.json("list")["adapters"]
    assert found["labels"] == {"by": "ana", "for": "[b]x=1"}
    assert datetime.fromisoformat(found["published"]).tzinfo is not None


def test_show_has_the_engine_id_the_history_and_what_is_retired(shop: Shop) -> None:
    old, new = shop.publish("otter", "otter"), shop.publish("otter", "heron")
    shown = shop.json("show", "otter")
    assert shown["reference"] == f"otter@{new.revision}"
    assert shown["engine_id"] == f"adapters/otter/{new.revision}/"
    assert (shown["complete"], shown["retired"]) == (True, False)
    assert [(past["entry"]["revision"], past["complete"]) for past in shown["history"]] == [
        (new.revision, True),
        (old.revision, True),
    ]
    assert shop.store.retention.is_retired(old.prefix)
    text = shop.ok("show", "otter")
    assert f"otter@{new.revision}" in text and old.revision in text and "all there" in text
    shop.s3.put_object_tagging(
        Bucket=shop.bucket,
        Key=new.prefix + CONFIG_FILE,
        Tagging={"TagSet": [{"Key": "lora-serving-retired", "Value": "true"}]},
    )
    assert "MARKED RETIRED" in shop.ok("show", "otter")
    shop.s3.delete_object(Bucket=shop.bucket, Key=new.prefix + CONFIG_FILE)
    assert "NOT COMPLETE" in shop.ok("show", "otter")


def test_an_unknown_name_is_reported_with_the_closest_ones(shop: Shop) -> None:
    shop.publish("otter", "otter")
    shop.publish("team/heron", "heron")
    assert "'ottr': it is not published in this store; did you mean 'otter'?" in shop.fails("show", "ottr")
    assert "the command list shows all" in shop.fails("verify", "zzz")
    assert "did you mean" in shop.fails("remove", "oter", "--yes")
    assert "did you mean" in shop.fails("rollback", "oter")
    assert "use lower-case letters" in shop.fails("show", "No Name")
    assert "use lower-case letters" in shop.fails("publish", str(SAMPLES / "otter"), "--name", "Otter")


def test_validate_shows_facts_and_publishes_nothing(shop: Shop) -> None:
    found = shop.json("validate", str(SAMPLES / "otter"))
    assert (found["valid"], found["rank"], found["warning"]) == (True, 8, None)
    assert found["target_modules"] == ["q_proj", "v_proj"]
    assert found["sha256"] == hashlib.sha256((SAMPLES / "otter" / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert found["revision"] in shop.ok("validate", str(SAMPLES / "otter"))
    assert shop.keys("") == []
    assert shop.publish("otter", "otter").revision == found["revision"]


def test_a_checkpoint_is_published_and_shown_with_what_it_was_converted_from(shop: Shop) -> None:
    folder = shop.folder / "pickled"
    folder.mkdir()
    shutil.copyfile(SAMPLES / "otter" / CONFIG_FILE, folder / CONFIG_FILE)
    torch.save(load_file(SAMPLES / "otter" / WEIGHTS_FILE), folder / "adapter_model.bin")
    sha256 = hashlib.sha256((folder / "adapter_model.bin").read_bytes()).hexdigest()
    found = shop.json("validate", str(folder))
    assert (found["converted_from"], found["source_sha256"]) == ("adapter_model.bin", sha256)
    assert f"from adapter_model.bin, sha256 {sha256}" in shop.ok("validate", str(folder))
    assert "expected " + "0" * 64 in shop.fails(
        "publish", str(folder), "--name", "otter", "--sha256", "0" * 64
    )
    shop.ok("publish", str(folder), "--name", "otter", "--sha256", sha256)
    entry = shop.json("show", "otter")["entry"]
    assert (entry["converted_from"], entry["source_sha256"]) == ("adapter_model.bin", sha256)
    assert entry["revision"] == found["revision"]
    assert f"from adapter_model.bin, sha256 {sha256}" in shop.ok("show", "otter")
    [listed] = shop.json("list")["adapters"]
    assert listed["converted_from"] == "adapter_model.bin"
    shop.ok("verify")
    again = shop.ok("publish", str(folder), "--name", "otter")
    assert "unchanged" in again
    (folder / "adapter_model.bin").write_bytes(b"\x80\x02cos\nsystem\n.")
    assert "its adapter_model.bin is a bare pickle" in shop.fails("validate", str(folder))


def test_a_failed_publication_is_reported_with_a_remedy(shop: Shop) -> None:
    broken = shop.folder / "broken"
    broken.mkdir()
    assert "there is no such directory" in shop.fails("validate", str(shop.folder / "nowhere"))
    assert "has no adapter_config.json; it has no files; save the adapter with PEFT" in shop.fails(
        "validate", str(broken)
    )
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        (broken / file).write_bytes((SAMPLES / "otter" / file).read_bytes())
    config = json.loads((broken / CONFIG_FILE).read_bytes())
    (broken / CONFIG_FILE).write_text(json.dumps(config | {"base_model_name_or_path": "other"}))
    for command in (("validate", str(broken)), ("publish", str(broken), "--name", "broken")):
        assert "other" in shop.fails(*command)
    (broken / CONFIG_FILE).write_text("x" * 300_000)
    assert "300000 bytes" in shop.fails("validate", str(broken))
    assert "not a source" in shop.fails("validate", "ftp://somewhere")
    assert "name the directory" in shop.fails("validate", "asset://" + "0" * 64 + "/")
    assert "hash to" in shop.fails("publish", str(SAMPLES / "otter"), "--name", "otter", "--sha256", "0" * 64)
    assert shop.json("list")["adapters"] == []


def test_publishing_the_same_again_changes_nothing_and_labels_can_be_changed(shop: Shop) -> None:
    command = ("publish", str(SAMPLES / "otter"), "--name", "otter")
    first = shop.json(*command, "--label", "by=ana")
    assert (first["outcome"], first["replaced"]) == ("published", None)
    etags = shop.store.registry.etags()
    again = shop.json(*command)
    assert (again["outcome"], again["entry"]) == ("unchanged", first["entry"])
    assert "unchanged" in shop.ok(*command, "--label", "by=ana")
    assert shop.store.registry.etags() == etags
    relabelled = shop.json(*command, "--label", "by=ben")
    assert (relabelled["outcome"], relabelled["entry"]["labels"]) == ("published", {"by": "ben"})
    limited = shop.json(*command, "--limit", "max_concurrent=4", "--limit", "priority=2")
    assert limited["entry"]["limits"] == {"max_concurrent": 4, "priority": 2}
    assert shop.json(*command)["outcome"] == "unchanged"
    assert "limits max_concurrent=4, priority=2" in " ".join(shop.ok("show", "otter").split())
    assert "max_concurrent=4" in shop.ok("list")
    assert shop.json(*command, "--limit", "none")["entry"]["limits"] == {}
    for option, value, told in (
        ("--limit", "max_concurent=4", "did you mean 'max_concurrent'"),
        ("--limit", "priority=1000", "write a whole number from 1 to 100"),
        ("--label", "pinned=yes", "write true or false"),
    ):
        assert told in " ".join(shop.fails(*command, option, value, code=2).split())
    assert not shop.store.retention.is_retired(shop.store.get("otter").entry.prefix)


def test_a_new_version_retires_old_one_and_going_back_revives_it(shop: Shop) -> None:
    old = shop.publish("house", "otter")
    new = shop.json("publish", str(SAMPLES / "heron"), "--name", "house")
    assert new["replaced"] == old.revision
    assert shop.store.retention.is_retired(old.prefix)
    assert shop.json("publish", str(SAMPLES / "otter"), "--name", "house")["outcome"] == "published"
    assert not shop.store.retention.is_retired(old.prefix)
    assert shop.store.retention.is_retired(adapter_prefix("house", new["entry"]["revision"]))
    assert shop.verified() == []


def test_a_stacks_name_is_refused_and_its_manifest_named(shop: Shop) -> None:
    shop.publish("otter", "otter")
    shop.give_to_stack("otter")
    told = shop.fails("publish", str(SAMPLES / "heron"), "--name", "otter")
    assert f"it belongs to the stack {STACK}, whose manifest decides over it; change" in told
    assert "adapters.yaml and deploy, or publish under another name" in told
    assert len(shop.keys("adapters/")) == 2


def test_an_adapter_comes_from_hub_by_its_commit_with_persons_own_login(shop: Shop) -> None:
    commit = shop.hub.add("acme/otter", files("otter"), private=True)
    shop.hub.tokens = {"hf_ana": {"acme/otter"}}
    source = "hf://acme/otter@main"
    assert "private" in shop.fails("validate", source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_ana")
        result = CliRunner().invoke(
            app,
            [*shop.options, "publish", source, "--name", "otter"],
            env={"AWS_PROFILE": None, **shop.environment},
        )
    assert result.exit_code == 0, result.output
    assert shop.store.get("otter").entry.source == f"hf://acme/otter@{commit}"
    assert shop.verified() == []


def test_an_adapter_comes_from_s3(shop: Shop) -> None:
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        shop.put(f"elsewhere/{file}", (SAMPLES / "mole" / file).read_bytes())
    source = f"s3://{shop.bucket}/elsewhere/"
    assert shop.json("validate", source)["source"] == source
    assert shop.json("publish", source, "--name", "mole")["entry"]["source"] == source
    assert "does not end with '/'" in shop.fails("validate", source.rstrip("/"))
    assert "no object under this prefix" in shop.fails("validate", f"s3://{shop.bucket}/nowhere/")


def test_without_base_model_it_is_said_that_dimensions_are_not_checked(shop: Shop) -> None:
    shop.configure({"name": "acme/base", "revision": "0" * 40})
    folder = shop.folder / "adapter"
    folder.mkdir()
    config = json.loads((SAMPLES / "otter" / CONFIG_FILE).read_bytes())
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"base_model_name_or_path": "acme/base"}))
    (folder / WEIGHTS_FILE).write_bytes((SAMPLES / "otter" / WEIGHTS_FILE).read_bytes())
    found = shop.json("publish", str(folder), "--name", "otter")
    assert "not checked against the base model's dimensions: " in found["warning"]
    assert found["entry"]["checked_for"].endswith(", dimensions unknown")
    result = shop.run("verify")
    assert result.exit_code == 0
    assert "not checked against the base model's dimensions" in " ".join(result.stderr.split())
    # With the model on the Hub there is nothing to warn of.
    base = {path.name: path for path in (ROOT / "samples" / "base").iterdir()}
    shop.configure({"name": "acme/base", "revision": shop.hub.add("acme/base", base)})
    assert shop.json("validate", str(folder))["warning"] is None


# Two at a time, and Ctrl-C


def test_of_two_publishers_of_one_name_one_wins_and_the_other_is_refused(shop: Shop) -> None:
    store, base = shop.store, checking.read_base(shop.store.stage)
    shop.publish("contested", "badger")
    looked = threading.Barrier(2)

    def one(sample: str) -> RegistryEntry | PublishConflict:
        publication = Publication.begin(store, "contested")
        looked.wait()
        examined = checking.check(store, "contested", str(SAMPLES / sample), base)
        publication.transfer(examined)
        looked.wait()
        try:
            return publication.finish(examined, base).entry
        except PublishConflict as conflict:
            return conflict

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, ("otter", "heron")))
    (winner,) = (result for result in results if isinstance(result, RegistryEntry))
    (conflict,) = (result for result in results if isinstance(result, PublishConflict))
    assert (
        "another publisher has published or removed it just now; check what is published, and try again"
        in str(conflict)
    )
    assert store.get("contested").entry == winner
    assert shop.verified() == []
    # The loser's files are there, and a clean-up finds them.
    assert [kind for kind, _ in shop.collect(days=2)] == ["retire"]
    assert shop.verified() == []


def test_after_ctrl_c_nothing_is_published_and_the_same_command_continues(shop: Shop) -> None:
    shop.configure(NO_MODEL)
    large = large_adapter(shop.folder / "large", 2)
    commit = shop.hub.add("acme/large", {file: large / file for file in (CONFIG_FILE, WEIGHTS_FILE)})
    shop.hub.faults.stall_every, shop.hub.faults.stall_seconds = 2, 3
    command = [sys.executable, "-m", "loraserve", *shop.options]
    command += ["publish", f"hf://acme/large@{commit}", "--name", "large"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not parts(shop):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing is published. The same command continues where this one stopped" in " ".join(
        stderr.split()
    )
    assert shop.json("list")["adapters"] == []
    kept = sum(part["Size"] for part in parts(shop))
    assert kept >= PART_BYTES
    shop.hub.faults.stall_every = 0
    shop.hub.reset_requests()
    shop.ok("publish", f"hf://acme/large@{commit}", "--name", "large")
    fetched = sum(request.bytes_sent for request in shop.hub.requests if request.host == "cdn")
    assert fetched < (large / WEIGHTS_FILE).stat().st_size - kept + PART_BYTES / 2
    assert shop.json("verify")["findings"] == []


def test_ctrl_c_begins_no_further_part_and_no_part_is_sent_twice(shop: Shop) -> None:
    shop.configure(NO_MODEL)
    large = large_adapter(shop.folder / "large", PARALLEL_PARTS + 1)
    store, base = shop.store, StageBase(None, "unknown", "unknown")
    publication = Publication.begin(store, "large")
    examined = checking.check(store, "large", str(large), base)

    def interrupt(_: int) -> None:
        _thread.interrupt_main()
        # Until the main thread has noticed.
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        publication.transfer(examined, interrupt)
    kept = sum(part["Size"] for part in parts(shop))
    assert kept == PARALLEL_PARTS * PART_BYTES
    sent: list[int] = []
    publication.transfer(examined, sent.append)
    assert sum(sent) == sum((large / file).stat().st_size for file in (CONFIG_FILE, WEIGHTS_FILE)) - kept
    assert store.published("large") is None
    publication.finish(examined, base)
    assert shop.verified() == []


def test_ctrl_c_while_the_connection_fails_ends_the_command(shop: Shop) -> None:
    under_way = threading.Barrier(3)

    class Failing:
        size = 3 * PART_BYTES
        sequential = False

        def read(self, start: int, length: int) -> bytes:
            under_way.wait()
            if start == 0:
                _thread.interrupt_main()
                time.sleep(0.5)
                raise OSError("the network is down")
            return bytes(length)

    with pytest.raises(KeyboardInterrupt), Transfers(shop.s3, shop.bucket) as transfers:
        transfers.put("adapters/large", Failing(), "0" * 64)
    # What had been read is not read again.
    assert {part["PartNumber"] for part in parts(shop)} == {2, 3}


def parts(shop: Shop) -> list[dict[str, Any]]:
    uploads = shop.s3.list_multipart_uploads(Bucket=shop.bucket).get("Uploads", [])
    return [
        part
        for upload in uploads
        for part in shop.s3.list_parts(
            Bucket=shop.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        ).get("Parts", [])
    ]


# rollback, remove


def test_a_rollback_goes_to_revision_before_or_to_the_one_that_is_named(shop: Shop) -> None:
    first, second, third = (shop.publish("house", sample) for sample in ("otter", "heron", "badger"))
    back = shop.json("rollback", "house")
    assert (back["outcome"], back["replaced"], back["note"]) == ("rolled-back", third.revision, None)
    assert back["entry"]["revision"] == second.revision
    assert not shop.store.retention.is_retired(second.prefix)
    assert shop.store.retention.is_retired(third.prefix)
    assert shop.json("rollback", "house", "--to", first.revision)["entry"]["revision"] == first.revision
    assert shop.json("rollback", "house", "--to", first.revision)["outcome"] == "unchanged"
    assert "is not a revision" in shop.fails("rollback", "house", "--to", "latest")
    told = shop.fails("rollback", "house", "--to", "0" * 16)
    assert f"it can be rolled back to {second.revision}, {third.revision}" in told
    shop.s3.delete_object(Bucket=shop.bucket, Key=second.prefix + WEIGHTS_FILE)
    told = shop.fails("rollback", "house", "--to", second.revision)
    assert f"no longer in the bucket; it can be rolled back to {third.revision}" in told
    shop.publish("solo", "otter")
    assert "it stood for no other revision" in shop.fails("rollback", "solo")
    assert shop.verified() == []


def test_a_removed_name_is_brought_back_by_a_rollback(shop: Shop) -> None:
    first, second = shop.publish("house", "otter"), shop.publish("house", "heron")
    assert shop.json("remove", "house", "--yes")["removed"]["revision"] == second.revision
    assert shop.store.retention.is_retired(second.prefix)
    assert shop.json("show", "house")["entry"] is None
    assert "removed" in shop.ok("show", "house")
    assert shop.json("rollback", "house")["entry"] == json.loads(second.to_json())
    assert not shop.store.retention.is_retired(second.prefix)
    shop.ok("remove", "house", "--yes")
    assert "rolled back" in shop.ok("rollback", "house", "--to", first.revision)
    assert shop.store.get("house").entry == first
    assert shop.verified() == []


def test_a_stacks_adapter_stays_the_stacks_and_it_is_said_how_a_change_can_stay(shop: Shop) -> None:
    shop.publish("house", "otter")
    shop.give_to_stack("house", "hf://acme/otter@" + "1" * 40)
    old = shop.store.get("house")
    entry = RegistryEntry.from_dict(vars(shop.publish("other", "heron")) | {"name": "house", "owner": STACK})
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        shop.put(entry.prefix + file, (SAMPLES / "heron" / file).read_bytes())
    publish(shop.store.registry, [Change(old, entry)])
    text = " ".join(shop.ok("rollback", "house").split())
    assert (
        f"house belongs to the stack {STACK}: the next deploy with a changed manifest sets it again." in text
    )
    assert f"adapters.yaml: source: hf://acme/otter@{'1' * 40}" in text
    assert shop.store.get("house").entry == old.entry
    assert "take it out of" in shop.json("remove", "house", "--yes")["note"]
    assert shop.store.published("house") is None


def test_a_removal_is_asked_for_on_a_terminal_and_refused_without_one(shop: Shop) -> None:
    shop.publish("house", "otter")
    assert "no terminal to ask on" in shop.fails("remove", "house", code=2)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for answer, code, left in (("n\n", 1, True), ("y\n", 0, False)):
        terminal, inside = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "loraserve", *shop.options, "remove", "house", "--json"],
            cwd=ROOT, env=environment | shop.environment, text=True,
            stdin=inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            os.write(terminal, answer.encode())
            stdout, stderr = process.communicate(timeout=60)
        os.close(terminal)
        os.close(inside)
        assert process.returncode == code, stderr
        assert "Unpublish house@" in stderr
        assert (shop.store.published("house") is not None) == left
        assert not stdout if left else json.loads(stdout)["name"] == "house"


# verify


def test_verify_finds_a_flipped_byte_and_a_changed_config(shop: Shop) -> None:
    shop.publish("good", "heron")
    entry = shop.publish("bad", "otter")
    weights = bytearray(shop.body(entry.prefix + WEIGHTS_FILE))
    weights[-100] ^= 1
    shop.put(entry.prefix + WEIGHTS_FILE, bytes(weights))
    (finding,) = shop.json("verify", code=1)["findings"]
    assert (finding["name"], finding["revision"]) == ("bad", entry.revision)
    digest = hashlib.sha256(weights).hexdigest()[:12]
    told = f"59408 bytes that hash to {digest}…, the registry says 59408 bytes and {entry.sha256[:12]}…"
    assert told in finding["problem"]
    assert shop.json("verify", "good")["checked"] == 1
    result = shop.run("verify")
    assert result.exit_code == 1
    assert "1 of 2 adapters not as published, or not valid" in result.stdout
    shop.put(entry.prefix + WEIGHTS_FILE, (SAMPLES / "otter" / WEIGHTS_FILE).read_bytes())
    shop.put(entry.prefix + CONFIG_FILE, shop.body(entry.prefix + CONFIG_FILE) + b"\n")
    assert [finding.problem for finding in shop.verified()] == [
        "adapter_config.json is not what was published"
    ]


def test_verify_finds_what_is_missing_too_much_retired_or_no_longer_valid(shop: Shop) -> None:
    missing, extra, retired, wide, short = (
        shop.publish(name, sample)
        for name, sample in zip(
            ("missing", "extra", "retired", "wide", "short"),
            ("otter", "heron", "lynx", "raven", "stoat"),
            strict=True,
        )
    )
    shop.s3.delete_object(Bucket=shop.bucket, Key=missing.prefix + CONFIG_FILE)
    shop.put(extra.prefix + "README.md", b"hello")
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        shop.s3.put_object_tagging(
            Bucket=shop.bucket,
            Key=retired.prefix + file,
            Tagging={"TagSet": [{"Key": "lora-serving-retired", "Value": "true"}]},
        )
    config = json.loads(shop.body(wide.prefix + CONFIG_FILE))
    shop.put(wide.prefix + CONFIG_FILE, json.dumps(config | {"r": 64}).encode())
    shop.put(short.prefix + WEIGHTS_FILE, shop.body(short.prefix + WEIGHTS_FILE)[:-1000])
    found: dict[str, list[str]] = {}
    for finding in shop.verified():
        found.setdefault(finding.name, []).append(finding.problem)
    assert set(found) == {"missing", "extra", "retired", "wide", "short"}
    assert found["missing"] == ["adapter_config.json missing"]
    assert found["extra"] == ["README.md is an unexpected file"]
    assert found["retired"] == ["it is marked retired, and will be deleted"]
    assert found["wide"][0] == "adapter_config.json is not what was published"
    assert "64" in found["wide"][1]
    assert f"{short.size - 1000} bytes that hash to" in found["short"][0]
    # The names of other folders are not taken for extra files.
    assert shop.collect() == [("revive", retired.prefix)]
    assert "retired" not in {finding.name for finding in shop.verified()}


def test_a_damaged_entry_is_reported_and_nothing_is_deleted_around_it(shop: Shop) -> None:
    entry = shop.publish("bad", "otter")
    shop.publish("good", "heron")
    shop.put("registry/bad.json", b"{")
    (finding,) = shop.json("verify", code=1)["findings"]
    assert (finding["name"], finding["problem"]) == ("bad", "its registry entry registry/bad.json is damaged")
    for command in ("list", "gc"):
        assert "'bad': its registry entry registry/bad.json is damaged; bring back" in shop.fails(command)
    assert shop.store.revision("bad", entry.revision).is_complete
    shop.s3.delete_object(Bucket=shop.bucket, Key="registry/bad.json")
    shop.publish("bad", "otter")
    assert shop.verified() == []


def test_verify_looks_again_at_what_is_published_while_it_reads(shop: Shop) -> None:
    old = shop.publish("house", "otter")

    def replace() -> None:
        # As if its retention were over in the same moment.
        shop.publish("house", "heron")
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            shop.s3.delete_object(Bucket=shop.bucket, Key=old.prefix + file)

    store = StageStore(shop.store.stage, Meanwhile(shop.s3, "get_paginator", replace), shop.bucket)
    assert verify(store, ["house"], None) == []
    assert store.get("house").entry.revision != old.revision


# gc


class Meanwhile:
    """An S3 client that calls `do` just before the first call of one method: a concurrent change."""

    def __init__(self, s3: Any, method: str, do: Any) -> None:
        self._s3, self._method, self._do = s3, method, do

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self._do is not None:
            do, self._do = self._do, None
            do()
        return getattr(self._s3, name)


def test_a_clean_up_retires_deletes_aborts_and_revives_what_is_old_enough(shop: Shop) -> None:
    first = shop.publish("house", "otter")
    replaced = shop.publish("house", "heron")
    current = shop.publish("house", "badger")
    orphan, half = adapter_prefix("nobody", "a" * 16), adapter_prefix("half", "b" * 16)
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        shop.put(orphan + file, b"x" * 100)
    shop.put(half + WEIGHTS_FILE, b"y" * 1000)
    upload = half + "upload"
    begun = shop.s3.create_multipart_upload(Bucket=shop.bucket, Key=upload)
    shop.s3.upload_part(
        Bucket=shop.bucket, Key=upload, UploadId=begun["UploadId"], PartNumber=1, Body=b"z" * 500
    )
    shop.put("adapters/readme.txt", b"no revision")
    assert shop.collect() == []
    wanted = [("delete", half), ("retire", orphan), ("abort", upload)]
    assert shop.collect(days=2, dry_run=True) == wanted
    assert shop.collect(days=2, dry_run=True) == wanted
    assert shop.collect(days=2) == wanted
    assert shop.keys(half) == []
    assert "Uploads" not in shop.s3.list_multipart_uploads(Bucket=shop.bucket)
    assert shop.collect(days=2) == []
    deleted = {orphan, replaced.prefix, first.prefix}
    assert set(shop.collect(days=31)) == {("delete", prefix) for prefix in deleted}
    assert shop.keys("adapters/") == [
        f"{current.prefix}{CONFIG_FILE}", f"{current.prefix}{WEIGHTS_FILE}", "adapters/readme.txt",
    ]  # fmt: skip
    assert shop.verified() == []
    assert [past.is_complete for past in history(shop.store, "house")] == [True, False, False]
    with pytest.raises(NoRevision, match="publish it again"):
        rollback(shop.store, "house")


def test_gc_reports_what_it_did_and_what_it_would_do(shop: Shop) -> None:
    assert "nothing to clean up" in shop.ok("gc")
    half = adapter_prefix("half", "b" * 16)
    shop.put(half + WEIGHTS_FILE, b"y" * 1000)
    assert shop.json("gc")["actions"] == []
    young = shop.json("gc", "--dry-run", "--min-age-hours", "0")
    assert young["dry_run"] is True
    assert young["bytes"] == 1000
    assert young["actions"] == [
        vars(Action("delete", half, "incomplete for 0 hours: no adapter_config.json", 1000))
    ]
    assert "1.0 kB to be freed in 30 days, with the old versions" in shop.ok(
        "gc", "--dry-run", "--min-age-hours", "0"
    )
    text = shop.ok("gc", "--min-age-hours", "0")
    assert "deleted" in text and half in text and "1.0 kB freed" in text
    assert shop.keys(half) == []


def test_a_clean_up_gives_back_what_is_published_while_it_deletes(shop: Shop) -> None:
    old = shop.publish("house", "otter")
    shop.publish("house", "heron")
    racing = Meanwhile(shop.s3, "delete_object", lambda: rollback(shop.store, "house"))
    store = StageStore(shop.store.stage, racing, shop.bucket)
    assert shop.collect(days=40, store=store) == []
    assert shop.store.get("house").entry.revision == old.revision
    assert not shop.store.retention.is_retired(old.prefix)
    assert shop.verified() == []


def test_a_publisher_puts_back_what_a_clean_up_deletes_before_name_stands_for_it(shop: Shop) -> None:
    old = shop.publish("house", "otter")
    shop.publish("house", "heron")
    store, base = shop.store, checking.read_base(shop.store.stage)
    publication = Publication.begin(store, "house")
    examined = checking.check(store, "house", str(SAMPLES / "otter"), base)
    publication.transfer(examined)
    assert shop.collect(days=40) == [("delete", old.prefix)]
    assert publication.finish(examined, base).entry.revision == old.revision
    assert shop.verified() == []


def test_a_rollback_that_loses_its_files_to_a_garbage_collection_is_undone(shop: Shop) -> None:
    old, new = shop.publish("house", "otter"), shop.publish("house", "heron")
    racing = Meanwhile(shop.s3, "put_object", lambda: shop.collect(days=40))
    with pytest.raises(NoRevision, match=f"revision {old.revision} have just been deleted"):
        rollback(StageStore(shop.store.stage, racing, shop.bucket), "house")
    assert shop.store.get("house").entry == new
    assert shop.verified() == []


def test_a_clean_up_beside_publishers_harms_nothing(shop: Shop) -> None:
    samples = ("otter", "heron", "badger", "lynx", "raven", "stoat")
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            shop.collect(days=0.5)

    with ThreadPoolExecutor(3) as pool:
        cleaning = pool.submit(clean)
        publishers = [
            pool.submit(lambda name=name: [shop.publish(name, sample) for sample in samples])
            for name in ("a", "b")
        ]
        for publisher in publishers:
            publisher.result()
        done.set()
        cleaning.result()
    assert shop.verified() == []
    assert len(shop.store.revisions("adapters/a/")) == len(samples)


def test_the_newest_progress_of_an_upload_counts_as_its_age(shop: Shop) -> None:
    remove_me = shop.publish("house", "otter")
    remove(shop.store, "house")
    assert shop.collect(days=29) == []
    assert shop.collect(days=31) == [("delete", remove_me.prefix)]


# Which store


def test_missing_buckets_and_files_are_reported(shop: Shop, tmp_path: Path) -> None:
    unset = dict.fromkeys(("AWS_PROFILE", "AWS_SESSION_TOKEN"))

    def told(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["adapters", *arguments], env=unset | shop.environment)
        assert result.stdout == ""
        return result.exit_code, " ".join(result.stderr.split())

    stage = ("--stage", str(shop.stage))
    code, text = told(*stage, "list")
    assert code == 1
    assert f"there is no stack {STACK} with an adapter store in us-east-1" in text
    assert "S3 answers 404; check --bucket" in told(*stage, "--bucket", "no-such-bucket", "list")[1]
    assert told("--stage", "devv", "list")[0] == 2
    assert "there is no such file" in told("--stage", "no/such.yaml", "list")[1]
    shop.configure(account="111122223333")
    assert "is in account 111122223333, your credentials are of 000000000000" in told(*stage, "list")[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert told("list") == (
            1,
            "✗ no laptop cloud is running here: start it with 'make up', or name another stage with --stage",
        )


def test_the_local_stage_is_the_laptop_cloud_that_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cloud = up(STATE)
    try:
        result = CliRunner().invoke(app, ["adapters", "list"])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "has no adapter store: deploy the Local stage with 'make up'" in " ".join(
            result.stderr.split()
        )
        cloud.client("s3").create_bucket(Bucket="by-hand")
        result = CliRunner().invoke(app, ["adapters", "--bucket", "by-hand", "list", "--json"])
        assert json.loads(result.stdout) == {"stage": "local", "bucket": "by-hand", "adapters": []}
    finally:
        down(STATE)


def test_options_that_cannot_be_used_are_usage_errors(shop: Shop) -> None:
    publish_otter = ("publish", str(SAMPLES / "otter"), "--name", "otter")
    assert "write key=value" in shop.fails(*publish_otter, "--label", "by", code=2)
    twice = ("--label", "by=ana", "--label", "by=bo")
    assert "by is there twice; keep one of them" in shop.fails(*publish_otter, *twice, code=2)
    assert "64 hexadecimal digits" in shop.fails(*publish_otter, "--sha256", "abc", code=2)
    assert "Missing option '--name'" in shop.fails("publish", str(SAMPLES / "otter"), code=2)


@pytest.mark.parametrize(
    "command",
    ["list", "show", "validate", "publish", "rollback", "remove", "verify", "lock", "compare", "gc"],
)
def test_each_command_teaches_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, ["adapters", command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example: python -m loraserve adapters {command}" in " ".join(result.stdout.split())
