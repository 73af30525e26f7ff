"""The unmodified `huggingface_hub` against the test Hub: what it reads, and each error it raises."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

from stacks.project import ROOT
from tests.hub.samples import CONFIG, FILES, LARGE, REPO, TOKEN, WEIGHTS, download
from tests.hub.server import HubServer


def test_metadata_of_files(hub: HubServer, api: HfApi) -> None:
    info = api.model_info(REPO, revision="main", files_metadata=True)
    assert (info.id, info.private, info.gated) == (REPO, False, False)
    assert info.sha == hub.repositories[REPO].branches["main"]
    config, weights = info.siblings or []
    assert (config.rfilename, config.size, config.lfs) == ("adapter_config.json", len(CONFIG), None)
    assert config.blob_id == "1720d95d4d61b367b03d49594019af2b1dd532ba"  # `git hash-object` says so
    assert (weights.rfilename, weights.size) == (LARGE, len(WEIGHTS))
    assert weights.lfs is not None
    assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert weights.lfs.size == len(WEIGHTS)
    assert (weights.blob_id, weights.lfs.pointer_size) == (
        "4235e81050c5f7da0941cb713e30671cc9c6d9cf",
        130,
    )  # of the pointer, by git


def test_listings(api: HfApi) -> None:
    assert [s.size for s in api.model_info(REPO).siblings or []] == [None, None]
    assert sorted(api.list_repo_files(REPO)) == sorted(FILES)
    assert [entry.path for entry in api.list_repo_tree(REPO)] == ["adapter_config.json", "sub"]
    assert [entry.path for entry in api.list_repo_tree(REPO, "sub", recursive=True)] == [LARGE]
    assert [entry.path for entry in api.get_paths_info(REPO, ["missing", LARGE])] == [LARGE]


def test_revisions(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    first = hub.repositories[REPO].branches["main"]
    second = hub.add(REPO, {"adapter_config.json": b"{}"})
    side = hub.add(REPO, {"adapter_config.json": b"[]"}, branch="feature/x")
    hub.tag(REPO, "v1.0", first)
    shas = [api.model_info(REPO, revision=name).sha for name in ("main", "feature/x", "v1.0", first)]
    assert shas == [second, side, first, first]
    assert len({first, second, side}) == 3
    assert api.list_repo_refs(REPO).tags[0].target_commit == first
    assert download(hub, tmp_path, "adapter_config.json", revision=first) == CONFIG
    assert download(hub, tmp_path, "adapter_config.json", revision="feature/x") == b"[]"


def test_commits_are_the_same_in_every_hub(hub: HubServer) -> None:
    with HubServer() as other:
        assert other.add(REPO, FILES) == hub.repositories[REPO].branches["main"]


def test_large_files_come_from_the_cdn_without_the_token(hub: HubServer, tmp_path: Path) -> None:
    assert download(hub, tmp_path, LARGE, token=TOKEN) == WEIGHTS
    head, get = hub.requests
    assert (head.method, head.host, head.route, head.status, head.bytes_sent) == (
        "HEAD",
        "hub",
        "resolve",
        302,
        0,
    )
    assert (get.method, get.host, get.route, get.status, get.bytes_sent) == (
        "GET",
        "cdn",
        "cdn",
        200,
        len(WEIGHTS),
    )
    assert head.headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in get.headers
    hub.reset_requests()
    assert download(hub, tmp_path, "adapter_config.json") == CONFIG
    assert [(request.method, request.host) for request in hub.requests] == [("HEAD", "hub"), ("GET", "hub")]


def test_snapshot(hub: HubServer, tmp_path: Path) -> None:
    folder = snapshot_download(REPO, endpoint=hub.endpoint, cache_dir=tmp_path, token=False)
    assert {path: (Path(folder) / path).read_bytes() for path in FILES} == FILES
    assert [request.route for request in hub.requests[:2]] == ["api", "api"]


def test_files_on_disk(hub: HubServer, tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(b"start")
    os.truncate(large, 20_000_000)
    small.write_bytes(b"tiny")
    hub.add("acme/disk", {"large": large, "small": small})
    assert download(hub, tmp_path, "large", repo="acme/disk") == large.read_bytes()
    assert download(hub, tmp_path, "small", repo="acme/disk") == b"tiny"
    assert [request.host for request in hub.requests] == ["hub", "cdn", "hub", "hub"]
    hub.faults.corrupt = {"large"}
    url = f"{hub.endpoint}/acme/disk/resolve/main/large"
    assert get_session().get(url, headers={"Range": "bytes=9999999-10000001"}).content == b"\0\xff\0"


@pytest.mark.parametrize(
    ("repo", "file", "revision", "token", "error", "status"),
    [
        ("acme/none", LARGE, "main", False, RepositoryNotFoundError, 401),
        ("acme/none", LARGE, "main", TOKEN, RepositoryNotFoundError, 404),
        ("acme/private", LARGE, "main", False, RepositoryNotFoundError, 401),
        ("acme/private", LARGE, "main", "hf_stranger", RepositoryNotFoundError, 404),
        ("acme/gated", LARGE, "main", False, GatedRepoError, 401),
        ("acme/gated", "adapter_config.json", "main", "hf_stranger", GatedRepoError, 403),
        (REPO, LARGE, "none/such", False, RevisionNotFoundError, 404),
        (REPO, "missing.json", "main", False, RemoteEntryNotFoundError, 404),
        (REPO, LARGE, "main", "hf_unknown", HfHubHTTPError, 401),
    ],
)
def test_errors(
    hub: HubServer,
    tmp_path: Path,
    repo: str,
    file: str,
    revision: str,
    token: str | bool,
    error: type[HfHubHTTPError],
    status: int,
) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        download(hub, tmp_path, file, repo=repo, revision=revision, token=token)
    assert caught.value.response.status_code == status
    assert type(caught.value) is error
    if error is RemoteEntryNotFoundError:
        assert caught.value.response.headers["X-Repo-Commit"] == hub.repositories[repo].branches["main"]


def test_errors_of_the_api(hub: HubServer, api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("acme/none")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("acme/private")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="none")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "none"))
    with pytest.raises(GatedRepoError):
        api.auth_check("acme/gated")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        api.model_info(REPO, token="hf_unknown")
    assert type(caught.value) is HfHubHTTPError
    assert api.model_info("acme/gated").gated == "manual"  # everyone may list it, as on the real Hub
    assert api.model_info("acme/private", token=TOKEN).private


def test_a_token_opens_gated_and_private_files(hub: HubServer, tmp_path: Path) -> None:
    for repo in ("acme/gated", "acme/private"):
        assert download(hub, tmp_path, LARGE, repo=repo, token=TOKEN) == WEIGHTS


def test_connections_are_kept_and_closed_at_the_end(hub: HubServer) -> None:
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"), timeout=5)
    connection.connect()
    socket = connection.sock
    for path in (
        f"/api/models/{REPO}",
        f"/{REPO}/resolve/main/adapter_config.json",
        f"/{REPO}/resolve/main/no",
    ):
        connection.request("GET", path)
        connection.getresponse().read()
        assert connection.sock is socket
    hub.__exit__()
    assert socket.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        connection.connect()


@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
def test_as_a_process(tmp_path: Path, end: str) -> None:
    (tmp_path / "acme/otter/sub").mkdir(parents=True)
    for path, content in FILES.items():
        assert isinstance(content, bytes)
        (tmp_path / "acme/otter" / path).write_bytes(content)
    command = [sys.executable, "-m", "tests.hub.server", str(tmp_path), "--latency", "0.01"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        ready = json.loads(process.stdout.readline())
        info = HfApi(endpoint=ready["endpoint"], token=False).model_info(REPO)
        assert ready["commits"] == {REPO: info.sha}
        if end == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[end])
        assert process.wait(timeout=5) == 0
