"""The base model is asked for first: a closed one fails the seeding at once, an absent Hub is waited for."""

import io
import json
import os
import time
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from adapters.source import HubSource
from adapters.store.layout import model_prefix
from ingest.base_model import open_base_model
from ingest.hub import Hub, HubUnavailable
from lambdas.adapter_seeder.is_complete import TookTooLong, handle
from lambdas.adapter_seeder.outcome import Report, SeedingFailed
from laptop_cloud.cloud import LaptopCloud
from tests.harness import factories
from tests.harness.ports import free_port
from tests.harness.store import Store
from tests.hub.repository import Faults
from tests.hub.server import HubServer
from tests.local.test_hub_seeding import MIRRORED, base_files

READER, STRANGER = "hf_reader", "hf_stranger"
REPO = factories.BASE
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as hub:
        hub.tokens = {READER: {REPO}, STRANGER: set()}
        yield hub


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client of the Hub asks for, in seconds, which are not slept."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: time.monotonic() + sum(slept))
    monkeypatch.setattr("ingest.hub.time", clock)
    return slept


def add_model(server: HubServer, access: str = "open") -> HubSource:
    files = {**base_files()}
    gated, private = access == "gated", access == "private"
    return HubSource(REPO, server.add(REPO, {**files}, gated=gated, private=private))


def add_adapter(server: HubServer, repo: str = "acme/adapter") -> str:
    return f"hf://{repo}@{server.add(repo, {**factories.adapter(1)})}"


def seed(store: Store, hub: Hub, source: HubSource, adapter: str, *, mirrored: bool) -> Report:
    return store.seed(
        {"made": adapter},
        hub=hub,
        base_model=lambda: open_base_model(source, hub, mirrored=mirrored),
        model_prefix=model_prefix(source.repo, source.revision) if mirrored else None,
    )


@pytest.mark.parametrize(
    ("access", "token", "mirrored", "named"),
    [
        ("gated", None, False, "accept the licence at {page}, put a Hub read token into Secrets Manager"),
        (
            "gated",
            READER,
            False,
            "write base_model.mirror: true: it is then copied with the token of hub_tok",
        ),
        ("gated", STRANGER, True, "accept the licence at {page} with that account"),
        ("gated", None, True, "and name the secret in hub_token_secret"),
        ("private", None, False, "no such repository, or it is private; check base_model.name ({page})"),
        ("private", STRANGER, True, "no such repository, or it is private"),
        ("absent", None, False, "no such repository, or it is private"),
        ("absent", READER, True, "no such repository, or it is private"),
        ("moved", None, False, "has no revision '0000000000000000000000000000000000000000'"),
        ("moved", READER, True, "copy the commit from {page}/commits/main"),
        ("open", "hf_wrong", True, "the Hub does not accept the token"),
    ],
)
def test_a_model_that_cannot_be_fetched_fails_the_seeding_before_anything_else(
    store: Store, server: HubServer, access: str, token: str | None, mirrored: bool, named: str
) -> None:
    add_adapter(server)
    adapter = "hf://acme/adapter@main"
    source = add_model(server, access)
    if access == "absent":
        source = HubSource("acme/absent", source.revision)
    if access == "moved":
        source = source.at("0" * 40)
    began = time.monotonic()
    with pytest.raises(SeedingFailed) as failed:
        seed(store, Hub(server.endpoint, token), source, adapter, mirrored=mirrored)
    print(f"{access}, mirrored={mirrored}: {time.monotonic() - began:.2f} s, {failed.value}")
    page = f"{server.endpoint}/{source.repo}"
    assert str(failed.value).startswith("the base model cannot be served; nothing was changed. Report: s3://")
    assert f"base model '{source.repo}@{source.revision}': " in str(failed.value)
    assert named.format(page=page) in str(failed.value)
    assert list(store.objects("registry/") | store.objects("adapters/") | store.objects("models/")) == []
    assert not [request.path for request in server.requests if "acme/adapter" in request.path]
    assert not [request for request in server.requests if request.host == "cdn"], "no weights were read"


def test_a_gated_model_is_mirrored_with_the_seeders_token(store: Store, server: HubServer) -> None:
    source = add_model(server, "gated")
    hub, prefix = Hub(server.endpoint, READER), model_prefix(REPO, source.revision)
    assert seed(store, hub, source, add_adapter(server), mirrored=True).published == 1
    assert {key.removeprefix(prefix) for key in store.objects(prefix)} == MIRRORED


def test_a_mirrored_model_needs_neither_hub_nor_token_for_the_next_adapters(
    store: Store, server: HubServer
) -> None:
    source = add_model(server, "gated")
    seed(store, Hub(server.endpoint, READER), source, add_adapter(server), mirrored=True)
    other = add_adapter(server, "acme/other")
    server.tokens = {READER: set()}
    server.reset_requests()
    assert seed(store, Hub(server.endpoint, READER), source, other, mirrored=True).published == 1
    assert not [request.path for request in server.requests if REPO in request.path]


def test_a_model_that_could_be_fetched_is_not_asked_for_again(store: Store, server: HubServer) -> None:
    """CloudFormation's rollback to it must not depend on the Hub."""
    source, adapter = add_model(server), add_adapter(server)
    hub = Hub(server.endpoint)
    seed(store, hub, source, adapter, mirrored=False)
    closed = HubSource("acme/closed", server.add("acme/closed", {**base_files()}, gated=True))
    with pytest.raises(SeedingFailed, match="is gated"):
        store.seed(
            {"made": adapter},
            manifest="next",
            hub=hub,
            base_model=lambda: open_base_model(closed, hub, mirrored=False),
            base_revision=closed.revision,
        )
    server.reset_requests()
    server.faults = Faults(server_error_every=1)
    assert seed(store, hub, source, adapter, mirrored=False) == Report(1, 0, 0, 0)
    assert server.requests == []


def test_without_its_record_the_model_is_asked_for_again(store: Store, server: HubServer) -> None:
    source, adapter = add_model(server), add_adapter(server)
    seed(store, Hub(server.endpoint), source, adapter, mirrored=False)
    store.s3.delete_object(Bucket=store.bucket, Key="seeding/stack/record.json")
    add_model(server, "gated")
    with pytest.raises(SeedingFailed, match="is gated"):
        seed(store, Hub(server.endpoint), source, adapter, mirrored=False)


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_hub_that_is_broken_for_a_while_is_waited_for(
    store: Store, server: HubServer, pauses: list[float], monkeypatch: pytest.MonkeyPatch, mirrored: bool
) -> None:
    source, adapter = add_model(server), add_adapter(server)
    server.faults = Faults(server_error_every=1)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if sum(pauses) > 20:
            server.faults = Faults()

    monkeypatch.setattr("ingest.hub.time.sleep", sleep)
    assert seed(store, Hub(server.endpoint), source, adapter, mirrored=mirrored).published == 1
    assert sum(pauses) > 20


@pytest.mark.parametrize("faults", [Faults(server_error_every=1), Faults(rate_limit_every=1)])
def test_a_hub_that_stays_broken_is_neither_closed_nor_a_failure_yet(
    store: Store, server: HubServer, faults: Faults
) -> None:
    source, adapter = add_model(server), add_adapter(server)
    server.faults = faults
    with pytest.raises(HubUnavailable, match="the Hub answers HTTP"):
        seed(store, Hub(server.endpoint), source, adapter, mirrored=False)
    assert store.status()["phase"] == "waiting for the Hub"
    assert "the Hub answers HTTP" in store.status()["warnings"][0]
    assert list(store.objects("registry/") | store.objects("adapters/") | store.objects("models/")) == []


class Deployment:
    """A seeding as CloudFormation's waiter runs it: the second handler, called until it is complete."""

    def __init__(self, store: Store, hub: str, source: HubSource, adapter: str, **properties: str) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as asset:
            listed: list[Any] = [
                {
                    "names": ["made"],
                    "source": adapter,
                    "sha256": None,
                    "digest": None,
                    "origin": "",
                    "labels": {},
                    "limits": {},
                    "tenant_limits": {},
                }
            ]
            asset.writestr("manifest.json", json.dumps({"adapters": listed, "removals": 0.2, "model": {}}))
        store.s3.put_object(Bucket=store.bucket, Key="manifest.zip", Body=archive.getvalue())
        self.event: dict[str, Any] = {
            "RequestType": "Create",
            "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/store/1",
            "StartedAt": time.time(),
            "ResourceProperties": {
                "Bucket": store.bucket,
                "ManifestBucket": store.bucket,
                "ManifestKey": "manifest.zip",
                "Engine": "vllm",
                "MaxAdapterRank": "64",
                "AdapterTargetModules": "",
                "TensorParallel": "1",
                "BaseModel": source.repo,
                "BaseModelNames": "[]",
                "BaseModelRevision": source.revision,
                "ModelPrefix": "",
                "TrustRemoteCode": "false",
                "HubEndpoint": hub,
                "HubTokenSecret": "",
                "Owner": "stack",
                "RetainData": "false",
            }
            | properties,
        }

    def invoke(self) -> bool:
        """Call the handler once; return whether the seeding is complete."""
        return bool(handle(self.event, CONTEXT)["IsComplete"])


@pytest.fixture
def in_lambda(laptop: LaptopCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The laptop cloud is this process's AWS."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in laptop.environment.items():
        if name.startswith("AWS_") and os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.mark.usefixtures("in_lambda")
def test_a_hub_that_cannot_be_reached_and_comes_back_is_waited_for(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with HubServer() as elsewhere:
        source, adapter = add_model(elsewhere), add_adapter(elsewhere)
    deployment = Deployment(store, endpoint, source, adapter)
    assert [deployment.invoke() for _ in range(2)] == [False, False]
    assert '{"waiting": "source ' in capsys.readouterr().out
    assert list(store.objects("registry/") | store.objects("adapters/")) == []
    with HubServer(port) as server:
        assert (add_model(server), add_adapter(server)) == (source, adapter)
        assert deployment.invoke()
    assert store.names() == ["made"]


@pytest.mark.usefixtures("in_lambda")
def test_a_hub_that_never_comes_back_is_named_when_the_time_is_over(
    store: Store, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=lambda: time.time() + sum(pauses))
    monkeypatch.setattr("lambdas.adapter_seeder.is_complete.time", clock)
    deployment = Deployment(store, "http://127.0.0.1:9", HubSource(REPO, "0" * 40), "s3://nowhere/at/all/")
    calls = 0
    with pytest.raises(TookTooLong, match=r"Waiting for: .*no connection to the Hub"):
        while calls < 100:
            calls += 1
            assert not deployment.invoke()
    assert calls > 40, "a minute each"
    assert store.names() == []


@pytest.mark.usefixtures("in_lambda")
def test_a_gated_model_ends_the_deployment_in_its_first_call(store: Store, server: HubServer) -> None:
    source = add_model(server, "gated")
    deployment = Deployment(store, server.endpoint, source, add_adapter(server))
    began = time.monotonic()
    with pytest.raises(SeedingFailed, match="write base_model.mirror: true"):
        deployment.invoke()
    print(f"gated: {time.monotonic() - began:.2f} s")
