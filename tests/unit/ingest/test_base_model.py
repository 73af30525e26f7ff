"""The access to a base model: what the Hub shows to its container, and what to do where it is closed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from adapters.source import HubSource
from adapters.store.transfer import OutOfTime
from adapters.validation.base_model import InvalidBaseModel
from ingest.base_model import open_base_model
from ingest.hub import Hub, HubUnavailable
from tests.harness import factories
from tests.hub.repository import Faults
from tests.hub.server import HubServer

READER, STRANGER = "hf_reader", "hf_stranger"
REPO = factories.BASE


def model_files() -> dict[str, bytes]:
    """A model of one layer, as far as it is read."""
    files = factories.base_model(layers=1).files
    return {
        "config.json": bytes(files["config.json"].read(0, 1000)),
        "model.safetensors": bytes(files["model.safetensors"].read(0, 20_000)),
        "pytorch_model.bin": b"PK",
    }


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as hub:
        hub.tokens = {READER: {REPO}, STRANGER: set()}
        yield hub


def opened(server: HubServer, source: HubSource, *, token: str | None, mirrored: bool) -> set[str]:
    """Return the names of the model's files."""
    hub = Hub(server.endpoint, token, max_failures=1)
    return set(open_base_model(source, hub, mirrored=mirrored).files)


def add(server: HubServer, access: str, files: dict[str, bytes] | None = None) -> HubSource:
    """Add the model; `access` is open, gated or private."""
    content = dict(files or model_files())
    return HubSource(
        REPO, server.add(REPO, {**content}, gated=access == "gated", private=access == "private")
    )


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("token", [None, READER, STRANGER])
def test_an_open_model_can_be_fetched_by_either_with_any_token(
    server: HubServer, mirrored: bool, token: str | None
) -> None:
    source = add(server, "open")
    assert opened(server, source, token=token, mirrored=mirrored) == {"config.json", "model.safetensors"}
    asked = [request for request in server.requests if request.route != "api"]
    assert {request.path.rsplit("/", 1)[-1] for request in asked} == {"config.json", "model.safetensors"}
    assert sum(request.bytes_sent for request in asked) == 0, "the doctor needs no content"
    if not mirrored:
        assert {request.token for request in server.requests} == {None}


def test_an_open_model_can_be_fetched_by_the_container_whatever_the_secret_holds(server: HubServer) -> None:
    source = add(server, "open")
    assert opened(server, source, token="hf_wrong", mirrored=False)
    with pytest.raises(InvalidBaseModel, match="the Hub does not accept the token"):
        opened(server, source, token="hf_wrong", mirrored=True)


@pytest.mark.parametrize("access", ["gated", "private"])
def test_a_closed_model_is_mirrored_with_a_token_that_may_read_it(server: HubServer, access: str) -> None:
    source = add(server, access)
    assert opened(server, source, token=READER, mirrored=True)


@dataclass(frozen=True)
class Closed:
    """A model that cannot be fetched, and parts of what is said of it."""

    problem: str
    remedy: tuple[str, ...]
    access: str = "open"
    token: str | None = None
    mirrored: bool = False
    repo: str = REPO
    revision: str | None = None
    without: str | None = None
    """A file that the repository lacks."""


LOGIN = "put a Hub read token into Secrets Manager and name the secret in hub_token_secret"
MIRROR = "write base_model.mirror: true"
CLOSED = {
    "gated": Closed(
        "the repository is gated, and the container fetches it without a token",
        ("accept the licence at {page}", LOGIN, MIRROR),
        "gated",
    ),
    "gated, and the token may read it": Closed(
        "the repository is gated, and the container fetches it without a token",
        (MIRROR, "copied with the token of hub_token_secret"),
        "gated",
        READER,
    ),
    "gated, and the token may not read it": Closed(
        "the token's account has no access to it",
        (
            "accept the licence at {page} with that account",
            MIRROR,
            "the container fetches it without a token",
        ),
        "gated",
        STRANGER,
    ),
    "gated, to be mirrored without a token": Closed(
        "the repository is gated", ("accept the licence at {page}", LOGIN), "gated", mirrored=True
    ),
    "gated, to be mirrored with a token that may not read it": Closed(
        "the token's account has no access to it",
        ("accept the licence at {page} with that account",),
        "gated",
        STRANGER,
        mirrored=True,
    ),
    "private": Closed(
        "no such repository, or it is private", ("base_model.name ({page})", LOGIN, MIRROR), "private"
    ),
    "private, and the token may read it": Closed(
        "the repository is private, and the container fetches it without a token",
        (MIRROR,),
        "private",
        READER,
    ),
    "private, and the token may not read it": Closed(
        "no such repository, or it is private",
        ("base_model.name ({page}), and the token in hub_token_secret", MIRROR),
        "private",
        STRANGER,
    ),
    "private, to be mirrored without a token": Closed(
        "no such repository, or it is private", ("{page}", LOGIN), "private", mirrored=True
    ),
    "closed, and the secret holds no valid token": Closed(
        "the Hub does not accept the token", ("hub_token_secret",), "gated", "hf_wrong"
    ),
    "no such repository": Closed(
        "no such repository, or it is private", ("check base_model.name",), repo="acme/nothing"
    ),
    "no such revision": Closed(f"has no revision '{'0' * 40}'", ("{page}/commits/main",), revision="0" * 40),
    "no such revision, to be mirrored": Closed(
        f"has no revision '{'0' * 40}'", ("{page}/commits/main",), revision="0" * 40, mirrored=True
    ),
    "no config": Closed("has no config.json", ("name a model's repository",), without="config.json"),
    "pickles only": Closed(
        "has no safetensors weights", ("in safetensors format",), without="model.safetensors"
    ),
}


@pytest.mark.parametrize("closed", CLOSED.values(), ids=CLOSED.keys())
def test_a_model_that_cannot_be_fetched_is_named_with_what_to_do(server: HubServer, closed: Closed) -> None:
    files = {file: content for file, content in model_files().items() if file != closed.without}
    there = add(server, closed.access, files)
    source = HubSource(closed.repo, closed.revision or there.revision)
    began = time.monotonic()
    with pytest.raises(InvalidBaseModel) as failed:
        opened(server, source, token=closed.token, mirrored=closed.mirrored)
    print(f"{time.monotonic() - began:.3f} s: {failed.value}")
    assert str(failed.value).startswith(f"base model '{source.repo}@{source.revision}': ")
    assert closed.problem in failed.value.problem
    for part in closed.remedy:
        assert part.format(page=f"{server.endpoint}/{source.repo}") in failed.value.remedy
    assert READER not in str(failed.value)
    assert not [request for request in server.requests if request.host == "cdn"]


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_list_of_a_gated_repository_does_not_count_as_access(server: HubServer, mirrored: bool) -> None:
    source = add(server, "gated")
    assert Hub(server.endpoint).snapshot(source).files, "the Hub lists it to everyone"
    with pytest.raises(InvalidBaseModel, match="gated"):
        opened(server, source, token=None, mirrored=mirrored)


def test_an_empty_file_of_a_gated_repository_is_asked_for_too(server: HubServer) -> None:
    source = add(server, "gated", dict.fromkeys(model_files(), b""))
    with pytest.raises(InvalidBaseModel, match="gated"):
        opened(server, source, token=None, mirrored=False)


@pytest.mark.parametrize("access", ["open", "gated"])
@pytest.mark.parametrize("faults", [Faults(rate_limit_every=1), Faults(server_error_every=1)])
def test_a_busy_or_broken_hub_is_not_taken_for_a_closed_model(
    server: HubServer, faults: Faults, access: str
) -> None:
    source = add(server, access)
    server.faults = faults
    with pytest.raises(HubUnavailable, match=r"the Hub answers HTTP (429|50[03])"):
        opened(server, source, token=READER, mirrored=False)


def test_a_hub_that_cannot_be_reached_is_not_taken_for_a_closed_model() -> None:
    hub = Hub("http://127.0.0.1:9", max_failures=2)
    with pytest.raises(HubUnavailable, match="no connection to the Hub"):
        open_base_model(HubSource(REPO, "0" * 40), hub, mirrored=True)


def test_waiting_for_the_hub_ends_with_the_callers_time_and_keeps_the_reason(server: HubServer) -> None:
    server.faults = Faults(server_error_every=1)
    hub = Hub(server.endpoint, has_time=lambda: False)
    with pytest.raises(OutOfTime) as ended:
        open_base_model(HubSource(REPO, "0" * 40), hub, mirrored=True)
    assert "the Hub answers HTTP 50" in str(ended.value.__cause__)
