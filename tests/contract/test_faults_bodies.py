"""Malformed bodies: each gets a status that names the defect, and the process keeps serving."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.concurrent_connections import connections
from tests.contract.faulty_container import FaultyContainer, container
from tests.contract.faulty_s3 import FaultyS3
from tests.contract.malformed import BOMB, MIB, NAMED, ROUTES, SECRET, Malformed, any_json, wrong_requests
from tests.harness.http_client import JSON, Answer
from tests.harness.waiting import wait_until

#: Allowed answers to an unexpected body: docs/requests.md has the list.
DOCUMENTED = {(400, "invalid_json"), (404, "adapter_not_found"), (413, "body_too_large"), (422, "validation")}
BODY_SECONDS = 0.5
#: Times that all are sent, 300 MiB of bodies; and what may be kept of that. The allocator's reserve goes up and
#: down by some tens of MiB, and has never been above 110 MiB, however often they are sent.
ROUNDS, GROWTH_BYTES = 8, 128 * MIB
#: Files that are open one moment and not the next.
SPARE_FILES = 16


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyContainer]:
    folder = tmp_path_factory.mktemp("container")
    constants = {"container.gateway.api.server.BODY_SECONDS": BODY_SECONDS}
    with FaultyS3({}).serving() as url, container(folder, s3=url, constants=constants) as started:
        started.wait_until_ready()
        yield started
        assert SECRET not in started.log
        assert "Traceback" not in started.log
        assert "never retrieved" not in started.log


def assert_documented(answer: Answer) -> None:
    if answer.status == 200:
        return
    assert set(answer.json) == {"error", "error_type"}
    assert answer.error[:2] in DOCUMENTED
    assert len(answer.body) < 1000, "the caller's own words are not repeated"
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("malformed", NAMED, ids=lambda malformed: malformed.name)
def test_a_malformed_body_gets_its_status(running: FaultyContainer, malformed: Malformed) -> None:
    answer = running.client.request("POST", "/invocations", malformed.body, JSON)
    assert answer.error[:2] == (malformed.status, malformed.error_type)
    assert_documented(answer)
    assert running.client.get("/ping").status == 200


@settings(max_examples=150)
@given(path=st.sampled_from(ROUTES), body=any_json | wrong_requests)
def test_json_of_any_kind_gets_a_documented_status(running: FaultyContainer, path: str, body: Any) -> None:
    assert_documented(running.client.post(path, body))


@settings(max_examples=50)
@given(path=st.sampled_from(ROUTES), body=st.binary(max_size=200))
def test_bytes_of_any_kind_get_a_documented_status(running: FaultyContainer, path: str, body: bytes) -> None:
    assert_documented(running.client.request("POST", path, body, JSON))


def test_no_malformed_body_holds_up_ping(running: FaultyContainer) -> None:
    with ThreadPoolExecutor(1) as caller:
        malformed = caller.submit(
            lambda: [running.client.request("POST", "/invocations", each.body, JSON) for each in NAMED]
        )
        pings = running.pings(20)
        while not malformed.done():
            pings += running.pings(5)
    assert len(malformed.result()) == len(NAMED)
    pings.assert_prompt()
    # One /ping meets each body, so few are delayed by it.
    assert max(pings.seconds) < 0.5


def test_what_malformed_bodies_have_used_comes_back(running: FaultyContainer) -> None:
    def send_all() -> None:
        with ThreadPoolExecutor(4) as callers:
            list(callers.map(lambda each: running.client.request("POST", "/", each.body, JSON), NAMED))

    send_all()
    memory, files = running.memory(), running.files()
    for _ in range(ROUNDS):
        send_all()
    running.wait_until_empty()
    assert running.memory() - memory < GROWTH_BYTES
    wait_until(lambda: running.files() <= files + SPARE_FILES, "no connection is left open")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense"])
def test_a_compressed_body_is_refused_and_not_unpacked(running: FaultyContainer, encoding: str) -> None:
    body = json.dumps({"inputs": SECRET}).encode()
    headers = JSON | {"Content-Encoding": encoding}
    answer = running.client.request("POST", "/invocations", body, headers)
    assert answer.error[:2] == (415, "unsupported_media_type")


def test_a_small_body_that_unpacks_to_a_huge_one_delays_no_request(running: FaultyContainer) -> None:
    memory = running.memory()
    answer = running.client.request("POST", "/invocations", BOMB, JSON | {"Content-Encoding": "gzip"})
    assert answer.error[:2] == (415, "unsupported_media_type")
    running.pings(10).assert_prompt()
    assert running.memory() - memory < GROWTH_BYTES


HEAD = "POST /invocations HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"


def test_a_body_that_stops_arriving_is_408_and_gives_its_place_back(running: FaultyContainer) -> None:
    began = time.monotonic()
    with connections(running.client.port) as callers:
        callers.open(20, f'{HEAD}Content-Length: 1000\r\n\r\n{{"inputs": "{SECRET}'.encode())
        assert callers.statuses() == [408] * 20
    assert time.monotonic() - began >= BODY_SECONDS
    running.wait_until_empty()


def test_a_caller_who_leaves_within_his_body_gives_his_place_back(running: FaultyContainer) -> None:
    with connections(running.client.port) as callers:
        callers.open(20, f'{HEAD}Content-Length: 1000\r\n\r\n{{"inputs": "{SECRET}'.encode())
        wait_until(lambda: running.inside() == 20, "all have a place")
    running.wait_until_empty()


@pytest.mark.parametrize(
    "rest",
    [
        f"Content-Length: -5\r\n\r\n{SECRET}",
        f"Content-Length: 99999999999999999999\r\n\r\n{SECRET}",
        f"Content-Length: 5\r\nContent-Length: 50\r\n\r\n{SECRET}",
        f"\r\n{SECRET} {SECRET} HTTP/1.1\r\n\r\n",
        f"Transfer-Encoding: nonsense\r\n\r\n{SECRET}",
        f"Transfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
        f"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{SECRET}",
        f"X: {SECRET * 2000}\r\n\r\n",
    ],
    ids=lambda rest: rest[:40].strip(),
)
def test_what_is_not_http_is_refused_and_not_repeated_in_log(running: FaultyContainer, rest: str) -> None:
    with connections(running.client.port) as callers:
        callers.open(1, (HEAD + rest).encode())
        assert callers.statuses()[0] in {400, 415}
    assert running.client.get("/ping").status == 200
    assert SECRET not in running.log


def test_requests_are_logged_without_their_bodies(running: FaultyContainer) -> None:
    """The fixture checks the requests of later tests again."""
    assert running.client.request("POST", "/generate", b"{", JSON).status == 400
    wait_until(lambda: '"error_type":"invalid_json"' in running.log, "the request is in the log")
    assert SECRET not in running.log
