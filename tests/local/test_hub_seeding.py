"""Adapters and base models from a Hub, with and without faults."""

import hashlib
import json
import time
from typing import Any

import pytest

from adapters.source import HubSource
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE, model_prefix
from adapters.store.transfer import PART_BYTES, OutOfTime
from ingest.hub import Hub
from ingest.model_files import hub_model
from lambdas.adapter_seeder.outcome import Report, SeedingFailed
from tests.harness import factories
from tests.harness.sample_adapters import digest_of
from tests.harness.store import Store
from tests.hub.repository import Faults
from tests.hub.server import HubServer

LARGE = factories.adapter(1, mebibytes=20)
SMALL = factories.adapter(2)
TOKEN = "hf_averysecrettoken"


@pytest.fixture(autouse=True)
def no_real_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the seeder asks for, in seconds; sleeping them would make the tests long."""
    slept: list[float] = []
    now = time.monotonic

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("ingest.hub.time.sleep", sleep)
    monkeypatch.setattr("ingest.hub.time.monotonic", lambda: now() + sum(slept))
    return slept


def add(server: HubServer, repo: str, files: dict[str, bytes], **access: bool) -> str:
    """Put an adapter on the Hub, with what else such repositories hold; returns its pinned source."""
    extra = {"README.md": b"# adapter", "checkpoint-10/optimizer.pt": b"\x80\x02pickle"}
    return f"hf://{repo}@{server.add(repo, {**files, **extra}, **access)}"


def test_an_adapter_comes_from_hub_and_nothing_else_of_its_repository(
    store: Store, server: HubServer
) -> None:
    source = add(server, "acme/large", LARGE)
    report = store.seed({"large": source}, hub=Hub(server.endpoint))
    assert report == Report(1, 1, 0, sum(map(len, LARGE.values())))
    assert store.entry("large").source == source
    assert store.entry("large").digest == digest_of(LARGE)
    store.check()
    fetched = {request.path.rsplit("/", 1)[-1] for request in server.requests if request.route == "resolve"}
    assert fetched == {CONFIG_FILE, WEIGHTS_FILE}


def test_an_unchanged_manifest_asks_the_hub_nothing(store: Store, server: HubServer) -> None:
    source = add(server, "acme/large", LARGE)
    store.seed({"large": source}, hub=Hub(server.endpoint), base_model=factories.base_model)
    server.reset_requests()
    again = store.seed({"large": source}, hub=Hub(server.endpoint), base_model=factories.base_model)
    assert again == Report(1, 0, 0, 0)
    assert server.requests == []


def test_copies_are_downloaded_once(store: Store, server: HubServer) -> None:
    source = add(server, "acme/large", LARGE)
    report = store.seed({f"copy-{n:04d}": source for n in range(1, 51)}, hub=Hub(server.endpoint))
    assert report == Report(50, 50, 0, sum(map(len, LARGE.values())))
    sent = sum(request.bytes_sent for request in server.requests if request.host == "cdn")
    assert sent < len(LARGE[WEIGHTS_FILE]) + 100_000, "only the header was read before the transfer"
    store.check()


def test_a_branch_is_pinned_for_whole_seeding_and_warned_about(store: Store, server: HubServer) -> None:
    commit = server.add("acme/moving", dict(SMALL))
    adapters = {"moving": "hf://acme/moving@main"}
    calls = iter([True] * 6)
    with pytest.raises(OutOfTime):
        store.seed(adapters, hub=Hub(server.endpoint), manifest="first", has_time=lambda: next(calls, False))
    server.add("acme/moving", dict(factories.adapter(3)))
    store.seed(adapters, hub=Hub(server.endpoint), manifest="first")
    assert store.entry("moving").source == f"hf://acme/moving@{commit}"
    store.seed(adapters, hub=Hub(server.endpoint), manifest="second")
    assert store.entry("moving").digest == digest_of(factories.adapter(3)), "a changed manifest looks again"
    assert "hf://acme/moving@main is not pinned" in store.status()["warnings"][0]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(truncate_every=3),
        Faults(server_error_every=3),
        Faults(rate_limit_every=3),
        Faults(expire_links_after=2),
        Faults(refuse_ranges=True),
        Faults(truncate_every=4, server_error_every=5, rate_limit_every=4, expire_links_after=3),
    ],
    ids=["drops every third body", "breaks", "rate limit", "links expire", "no ranges", "all at once"],
)
def test_a_hub_on_a_bad_day_is_waited_for(store: Store, server: HubServer, faults: Faults) -> None:
    adapters = {"large": add(server, "acme/large", LARGE), "small": add(server, "acme/small", SMALL)}
    server.faults = faults
    report = store.seed(adapters, hub=Hub(server.endpoint), base_model=factories.base_model)
    assert report.bytes_moved == sum(len(content) for files in (LARGE, SMALL) for content in files.values())
    store.check()


def test_a_busy_hub_is_given_the_time_that_it_asks_for(
    store: Store, server: HubServer, no_real_pauses: list[float]
) -> None:
    source = add(server, "acme/small", SMALL)
    server.faults = Faults(rate_limit_every=2, retry_after_seconds=17)
    store.seed({"small": source}, hub=Hub(server.endpoint))
    assert sum(no_real_pauses) >= 17


def test_waiting_ends_when_the_invocations_time_does(store: Store, server: HubServer) -> None:
    source = add(server, "acme/small", SMALL)
    server.faults = Faults(rate_limit_every=1, retry_after_seconds=10_000)
    with pytest.raises(OutOfTime):
        store.seed({"small": source}, hub=Hub(server.endpoint, has_time=lambda: False))


def test_what_is_damaged_on_the_way_is_noticed_and_removed(store: Store, server: HubServer) -> None:
    good = add(server, "acme/small", SMALL)
    adapters = {"large": add(server, "acme/large", LARGE), "small": good}
    server.faults = Faults(corrupt={WEIGHTS_FILE})
    with pytest.raises(SeedingFailed) as failed:
        store.seed(adapters, hub=Hub(server.endpoint))
    assert "2 adapter(s)" in str(failed.value)
    assert f"expected {hashlib.sha256(LARGE[WEIGHTS_FILE]).hexdigest()}" in str(failed.value)
    assert not [key for key in store.objects("adapters/") if key.endswith(WEIGHTS_FILE)]
    server.faults = Faults(corrupt={CONFIG_FILE})
    with pytest.raises(SeedingFailed, match="does not hash to its blob id|is not JSON"):
        store.seed({"small": good}, hub=Hub(server.endpoint))
    assert store.names() == []


def test_damage_to_an_upload_that_continues_after_a_kill_is_noticed_and_mended(
    store: Store, server: HubServer
) -> None:
    files = factories.adapter(1, mebibytes=72)
    source = add(server, "acme/large", files)
    entry_prefix = f"adapters/large/{digest_of(files)[:16]}/"
    part = bytes(PART_BYTES)
    upload = store.s3.create_multipart_upload(
        Bucket=store.bucket, Key=entry_prefix + WEIGHTS_FILE, ChecksumAlgorithm="SHA256"
    )["UploadId"]
    store.s3.upload_part(
        Bucket=store.bucket, Key=entry_prefix + WEIGHTS_FILE, UploadId=upload, PartNumber=1, Body=part,
        ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    report = store.seed({"large": source}, hub=Hub(server.endpoint))
    size = sum(map(len, files.values()))
    assert size < report.bytes_moved < 2 * size, "the good parts and then all of it"
    store.check()


@pytest.mark.parametrize(
    ("source", "access", "token", "told"),
    [
        (
            "hf://acme/nothing@" + "0" * 40,
            {},
            None,
            "no such repository, or it is private; check the spelling",
        ),
        ("hf://acme/small@" + "0" * 40, {}, None, "has no revision '0000"),
        ("hf://acme/small@{commit}", {"gated": True}, None, "the repository is gated; accept its terms at"),
        ("hf://acme/small@{commit}", {"gated": True}, TOKEN, "the token's account has no access to it"),
        (
            "hf://acme/small@{commit}",
            {"private": True},
            None,
            "or it is private; check the spelling; for a priv",
        ),
        ("hf://acme/small@{commit}", {}, "hf_wrong", "the Hub does not accept the token"),
    ],
)
def test_what_the_hub_refuses_is_named_with_what_to_do(
    store: Store, server: HubServer, source: str, access: dict[str, bool], token: str | None, told: str
) -> None:
    server.tokens = {TOKEN: set()}
    commit = server.add("acme/small", dict(SMALL), **access)
    with pytest.raises(SeedingFailed) as failed:
        store.seed({"small": source.format(commit=commit)}, hub=Hub(server.endpoint, token))
    assert told in str(failed.value)
    assert "adapter 'small': hf://acme/" in str(failed.value)


def test_a_hub_that_never_recovers_is_given_up_with_a_reason(store: Store, server: HubServer) -> None:
    source = add(server, "acme/small", SMALL)
    server.faults = Faults(server_error_every=1)
    with pytest.raises(SeedingFailed, match="HTTP 50., 8 times in a row; try again later"):
        store.seed({"small": source}, hub=Hub(server.endpoint))
    with pytest.raises(SeedingFailed, match="no connection to the Hub"):
        store.seed({"small": source}, hub=Hub("http://127.0.0.1:9"))


def test_the_token_goes_to_the_hub_alone(
    store: Store, server: HubServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    source = add(server, "acme/gated", LARGE, gated=True)
    server.tokens = {TOKEN: {"acme/gated"}}
    store.seed({"gated": source}, hub=Hub(server.endpoint, TOKEN))
    assert {request.token for request in server.requests if request.host == "hub"} == {TOKEN}
    assert {request.token for request in server.requests if request.host == "cdn"} == {None}
    server.faults = Faults(server_error_every=1)
    with pytest.raises(SeedingFailed) as failed:
        store.seed({"other": f"hf://acme/gated@{'1' * 40}"}, hub=Hub(server.endpoint, TOKEN))
    written = "".join(capfd.readouterr()) + caplog.text + str(failed.value)
    stored = b"".join(store.objects().values())
    assert TOKEN not in written
    assert TOKEN.encode() not in stored
    assert "Signature=" not in str(failed.value)


def base_files() -> dict[str, bytes]:
    """A model whose weights have several parts, and other files that such repositories have."""
    model = factories.base_model(layers=3)
    weights = model.files["model.safetensors"]
    first = weights.read(0, weights.size)
    return {
        "config.json": model.files["config.json"].read(0, 1000),
        "generation_config.json": b"{}",
        "model-00001-of-00001.safetensors": first,
        "model.safetensors.index.json": json.dumps(
            {"weight_map": {"model.layers.0.self_attn.q_proj.weight": "model-00001-of-00001.safetensors"}}
        ).encode(),
        "tokenizer.json": b"{}",
        "tokenizer.model": b"sentences",
        "consolidated.safetensors": first,
        "pytorch_model.bin": b"PK",
        "modeling_wide.py": b"import os",
        "README.md": b"# model",
    }


MIRRORED = {
    "config.json",
    "generation_config.json",
    "model-00001-of-00001.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
}


def seed_model(store: Store, hub: Hub, source: HubSource, **options: Any) -> Report:
    return store.seed(
        {"small": SMALL},
        hub=hub,
        base_model=lambda: hub_model(hub, source, with_code=options.pop("with_code", False)),
        model_prefix=model_prefix(source.repo, source.revision),
        **options,
    )


def test_a_base_model_is_mirrored_with_what_an_engine_needs(store: Store, server: HubServer) -> None:
    files = base_files()
    source = HubSource("acme/wide", server.add("acme/wide", dict(files)))
    seed_model(store, Hub(server.endpoint), source)
    prefix = model_prefix("acme/wide", source.revision)
    mirrored = {key.removeprefix(prefix): content for key, content in store.objects(prefix).items()}
    assert mirrored == {file: files[file] for file in MIRRORED}
    server.reset_requests()
    assert seed_model(store, Hub(server.endpoint), source) == Report(1, 0, 0, 0)
    assert server.requests == []


def test_a_models_code_is_mirrored_only_if_the_stage_trusts_it(store: Store, server: HubServer) -> None:
    source = HubSource("acme/wide", server.add("acme/wide", dict(base_files())))
    assert set(hub_model(Hub(server.endpoint), source, with_code=True).files) == MIRRORED | {
        "modeling_wide.py"
    }


def test_mirroring_continues_where_it_stopped(store: Store, server: HubServer) -> None:
    source = HubSource("acme/wide", server.add("acme/wide", dict(base_files())))
    hub = Hub(server.endpoint)
    prefix = model_prefix("acme/wide", source.revision)
    # Reading the largest file back, after parts of it came from several invocations, takes a call per MiB (96).
    for limit in (*range(8, 60, 4), 200):
        calls = iter([True] * limit)
        try:
            seed_model(store, hub, source, has_time=lambda calls=calls: next(calls, False))
        except OutOfTime:
            if prefix + "config.json" in store.objects(prefix):
                assert {key.removeprefix(prefix) for key in store.objects(prefix)} == MIRRORED
            continue
        break
    assert {key.removeprefix(prefix) for key in store.objects(prefix)} == MIRRORED
    sent = sum(request.bytes_sent for request in server.requests if request.host == "cdn")
    assert sent < 1.6 * len(base_files()["consolidated.safetensors"]), "parts were fetched again and again"


def test_a_model_that_cannot_be_mirrored_fails_the_deploy(store: Store, server: HubServer) -> None:
    files = base_files()
    del files["model-00001-of-00001.safetensors"]
    source = HubSource("acme/wide", server.add("acme/wide", dict(files)))
    with pytest.raises(SeedingFailed, match="has no model-00001-of-00001.safetensors; pin a commit whose"):
        seed_model(store, Hub(server.endpoint), source)
    assert store.names() == []
