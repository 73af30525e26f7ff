"""Ranges, links and faults of the test Hub."""

import http.client
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session

from tests.hub.repository import Faults
from tests.hub.samples import CONFIG, LARGE, REPO, WEIGHTS, download, link_of, url_of
from tests.hub.server import HubServer


@pytest.mark.parametrize("where", ["hub", "cdn"])
@pytest.mark.parametrize(
    ("asked", "status", "expected", "described"),
    [
        ("bytes=0-0", 206, slice(0, 1), "bytes 0-0/{size}"),
        ("bytes=10-19", 206, slice(10, 20), "bytes 10-19/{size}"),
        ("bytes=100-", 206, slice(100, None), "bytes 100-{last}/{size}"),
        ("bytes=-7", 206, slice(-7, None), "bytes {tail}-{last}/{size}"),
        ("bytes=5-99999999", 206, slice(5, None), "bytes 5-{last}/{size}"),
        ("bytes=99999999-", 416, None, "bytes */{size}"),
        ("bytes=-0", 416, None, "bytes */{size}"),
        ("bytes=9-3", 200, slice(None), None),
        ("lines=1-2", 200, slice(None), None),
    ],
)
def test_ranges(
    hub: HubServer, where: str, asked: str, status: int, expected: slice | None, described: str | None
) -> None:
    content, url = (WEIGHTS, link_of(hub)) if where == "cdn" else (CONFIG, url_of(hub, "adapter_config.json"))
    answer = get_session().get(url, headers={"Range": asked})
    assert answer.status_code == status
    assert expected is None or answer.content == content[expected]
    size = len(content)
    described = described and described.format(size=size, last=size - 1, tail=size - 7)
    assert answer.headers.get("Content-Range") == described
    if status == 206:
        head = get_session().head(url, headers={"Range": asked})
        assert (head.status_code, head.headers["Content-Length"]) == (206, str(len(answer.content)))


def test_links_are_signed_and_expire(hub: HubServer) -> None:
    link = link_of(hub)
    forged = link.replace("Expires=", "Expires=9")
    for url in (forged, link[:-1] + ("1" if link[-1] != "1" else "2"), link.split("?")[0], hub.cdn):
        answer = get_session().get(url)
        assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True)
    hub.link_seconds = 0
    assert "Request has expired" in get_session().get(link_of(hub)).text
    hub.link_seconds = 60
    hub.faults.expire_links_after = 2
    link = link_of(hub)
    assert [get_session().get(link).status_code for _ in range(3)] == [200, 200, 403]
    assert get_session().get(link_of(hub)).status_code == 200


def test_rate_limit(hub: HubServer, api: HfApi) -> None:
    hub.faults = Faults(rate_limit_every=2, retry_after_seconds=7)
    assert api.model_info(REPO).sha
    with pytest.raises(HfHubHTTPError) as caught:
        api.model_info(REPO)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    hub.faults = Faults(rate_limit_every=2, retry_after_seconds=0)
    assert api.list_repo_files(REPO)
    assert api.list_repo_files(REPO)  # the client waits and tries again
    assert [request.status for request in hub.requests] == [200, 429, 200, 429, 200]


def test_server_errors(hub: HubServer, api: HfApi) -> None:
    link = link_of(hub)
    hub.faults.server_error_every = 2
    assert [get_session().get(link).status_code for _ in range(4)] == [200, 500, 200, 503]
    assert api.model_info(REPO).sha
    with pytest.raises(HfHubHTTPError, match="500"):
        api.model_info(REPO)
    hub.faults = Faults()
    assert get_session().get(link).status_code == 200


@pytest.mark.parametrize("refuse_ranges", [False, True])
def test_the_client_resumes_a_truncated_body(hub: HubServer, tmp_path: Path, refuse_ranges: bool) -> None:
    content = WEIGHTS * 2400  # the client keeps whole blocks of 10 MiB
    hub.add(REPO, {"model.bin": content})
    hub.faults = Faults(truncate_every=2, refuse_ranges=refuse_ranges)
    get_session().get(f"{hub.endpoint}/api/models/{REPO}/refs")  # too small to count
    assert get_session().get(link_of(hub, "model.bin")).content == content
    hub.reset_requests()
    assert download(hub, tmp_path, "model.bin") == content
    _, cut, rest = hub.requests
    assert (cut.status, cut.bytes_sent) == (200, len(content) // 2)
    assert rest.headers["range"] == "bytes=10485760-"
    expected = (200, len(content)) if refuse_ranges else (206, len(content) - 10485760)
    assert (rest.status, rest.bytes_sent) == expected


def test_a_truncated_body_has_its_full_length_announced(hub: HubServer) -> None:
    hub.faults.truncate_every = 1
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"), timeout=5)
    connection.request(
        "GET", f"/{REPO}/resolve/main/adapter_config.json", headers={"Range": "bytes=100-1900"}
    )
    response = connection.getresponse()
    assert response.headers["Content-Length"] == "1801"
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert caught.value.partial == CONFIG[100:1000]
    connection.close()


def test_corrupt_files_have_one_wrong_byte(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.corrupt = {LARGE}
    middle = len(WEIGHTS) // 2
    wrong = WEIGHTS[:middle] + bytes([WEIGHTS[middle] ^ 0xFF]) + WEIGHTS[middle + 1 :]
    link = link_of(hub)
    assert download(hub, tmp_path, LARGE) == wrong
    for start, stop in ((0, middle), (0, middle + 1), (middle, middle + 1), (middle + 1, len(WEIGHTS))):
        answer = get_session().get(link, headers={"Range": f"bytes={start}-{stop - 1}"})
        assert answer.content == wrong[start:stop]
    assert download(hub, tmp_path, "adapter_config.json") == CONFIG


def test_refused_ranges(hub: HubServer) -> None:
    hub.faults.refuse_ranges = True
    for url, content in ((link_of(hub), WEIGHTS), (url_of(hub, "adapter_config.json"), CONFIG)):
        answer = get_session().get(url, headers={"Range": "bytes=1-2"})
        assert (answer.status_code, answer.content) == (200, content)


def test_latency_and_stalls(hub: HubServer) -> None:
    link = link_of(hub)
    for faults in (Faults(latency_seconds=0.2), Faults(stall_every=2, stall_seconds=0.2)):
        get_session().get(link)
        hub.faults = faults
        took = []
        for _ in range(2):
            started = time.monotonic()
            assert get_session().get(link).content == WEIGHTS
            took.append(time.monotonic() - started >= 0.2)
        assert took == [faults.latency_seconds > 0, True]
