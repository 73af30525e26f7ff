"""A client of the Hugging Face Hub: lists repositories, and reads any range of any file.

A file is read by range from the URL that the Hub redirects to. The Hub may be slow or busy, and a response
may end early: the bytes that arrived are kept, and the rest is requested again.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import urllib3
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import get_session, hf_raise_for_status, parse_ratelimit_headers

from adapters.source import HubSource, SourceError
from adapters.source_remedies import HUGGING_FACE
from adapters.store.transfer import OutOfTime
from ingest.hub_headers import LIBRARY, hub_headers

#: Read and connect timeout: the longest time without a byte.
TIMEOUT_SECONDS = 30.0
#: Consecutive failures, without a byte in between, after which a request is not repeated.
MAX_FAILURES = 8
#: Bytes that are read at a time; of a body that ends early, fewer than these are lost.
CHUNK_BYTES = 128 * 1024
#: urllib3 follows redirects, without the token to another origin; every other retry is in this module.
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)
_LONGEST_PAUSE_SECONDS = 30.0
#: Upper bound of a pause that the Hub asks for; its rate limit windows are five minutes.
_LONGEST_ASKED_SECONDS = 900.0
_ENCODING_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}
#: The Hub's answers for a private or absent repository, a gated file, a token without access.
_CLOSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_CONNECTIONS = 32
#: A CDN's responses to a presigned URL that has expired.
_EXPIRED = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}

T = TypeVar("T")


class HubUnavailable(SourceError):
    """The Hub cannot be asked: no connection, or it is busy or broken. Nothing is known of the repository."""


class ClosedRepository(SourceError):
    """A repository that is gated, private or absent, or a token that the Hub refuses."""

    gated = False
    """True if the Hub says so: the repository exists, and its licence has to be accepted."""


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit."""

    source: HubSource
    """With the commit, also if the caller named a branch or a tag."""
    files: Mapping[str, HubFile]
    """Those of the whole repository, by path."""

    def in_folder(self) -> dict[str, HubFile]:
        """Return the files of the source's folder by name, without those of folders inside it."""
        prefix = f"{self.source.folder}/" if self.source.folder else ""
        below = {
            path.removeprefix(prefix): file for path, file in self.files.items() if path.startswith(prefix)
        }
        return {name: file for name, file in below.items() if "/" not in name}


class Hub:
    """A Hub at one endpoint, with one token; retries what may succeed later."""

    def __init__(
        self,
        endpoint: str = HUGGING_FACE,
        token: str | None = None,
        *,
        has_time: Callable[[], bool] = lambda: True,
        how_to_log_in: str = "put a Hub read token into the secret that the stage's hub_token_secret names",
        max_failures: int = MAX_FAILURES,
    ) -> None:
        """`has_time` is called during pauses; once it returns false, `OutOfTime` is raised.

        `how_to_log_in` is the remedy in the message of an error that a token would solve. After
        `max_failures` in a row, 1 or more, `HubUnavailable` is raised: 8 take a minute of pauses, 2 half a
        second.
        """
        self.endpoint = endpoint = endpoint.rstrip("/")
        self._token = token
        self._has_time = has_time
        self._how_to_log_in = how_to_log_in
        self._max_failures = max_failures
        self._headers = hub_headers(token)
        # False instead of None: a token that is stored on this machine is not sent.
        self._api = HfApi(endpoint, token=token or False, library_name=LIBRARY)
        self._lock = threading.Lock()
        self._listing: defaultdict[HubSource, threading.Lock] = defaultdict(threading.Lock)
        self._listed: dict[HubSource, Snapshot] = {}
        """By repository and revision: those of which a folder was asked for, and others may follow."""

    @property
    def has_token(self) -> bool:
        """True if requests carry a token."""
        return self._token is not None

    def without_token(self) -> Hub:
        """Return the same Hub as a caller without a token sees it, e.g. a stage's container."""
        return Hub(
            self.endpoint,
            has_time=self._has_time,
            how_to_log_in=self._how_to_log_in,
            max_failures=self._max_failures,
        )

    def page(self, repo: str) -> str:
        """Return the page of a repository, for messages.

        A mirror below a path is an artifact repository (JFrog Artifactory, Sonatype Nexus), which has the
        API's routes alone: its models' pages are those of huggingface.co.
        """
        return f"{HUGGING_FACE if urlsplit(self.endpoint).path else self.endpoint}/{repo}"

    def snapshot(self, source: HubSource) -> Snapshot:
        """List the repository at the commit that the source names now; raises `SourceError`.

        The Hub lists a gated repository to everyone: only reading a file shows that it may be read. The list
        is that of the whole repository: it is kept if a folder of a commit is asked for.
        """
        if not (source.folder and source.is_pinned):
            return self._snapshot(source)
        with self._lock:
            listing = self._listing[source.root]
        with listing:
            if source.root not in self._listed:
                self._listed[source.root] = self._snapshot(source)
            return Snapshot(source, self._listed[source.root].files)

    def _snapshot(self, source: HubSource) -> Snapshot:
        def ask() -> Snapshot:
            try:
                info = self._info(source, files_metadata=True)
            except HfHubHTTPError as error:
                if (
                    error.response.status_code != HTTPStatus.NOT_FOUND
                    or "X-Error-Code" in error.response.headers
                ):
                    raise
                # Artifactory has answered 404 to a query that it did not know (huggingface_hub#2974).
                info = self._info(source, files_metadata=False)
            if not info.sha and not source.is_pinned:
                raise SourceError(
                    str(source), f"the Hub does not say the commit of {source.revision}", "name a commit"
                )
            pinned = source.at(info.sha or source.revision)
            files = {item.rfilename: HubFile(self, pinned.root, item) for item in info.siblings or ()}
            return Snapshot(pinned, files)

        for failures in range(1, self._max_failures + 1):
            try:
                return ask()
            except (HfHubHTTPError, httpx2.HTTPError) as error:
                self.wait_after(error, failures, source)
        raise AssertionError("wait_after raises at the last failure")

    def _info(self, source: HubSource, *, files_metadata: bool) -> ModelInfo:
        return self._api.model_info(
            source.repo, revision=source.revision, files_metadata=files_metadata, timeout=TIMEOUT_SECONDS
        )

    def stream(self, url: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes `start` … `end` of a file in chunks; the token is sent to the Hub only.

        Raises urllib3's errors and huggingface_hub's.
        """
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        if _origin(url) == _origin(self.endpoint):
            headers |= self._headers
        response = _connections(_proxy(url)).request(
            "GET", url, headers=headers, preload_content=False, retries=_REDIRECTS, timeout=TIMEOUT_SECONDS
        )
        complete = False
        try:
            _raise_for_status(url, response)
            # A server without range requests sends the file from its start.
            skipped = 0 if response.status == HTTPStatus.PARTIAL_CONTENT else start
            wanted = end - start
            for chunk in response.stream(CHUNK_BYTES):
                useful = chunk[skipped:][:wanted]
                skipped -= min(skipped, len(chunk))
                wanted -= len(useful)
                yield useful
                if not wanted:
                    break
            complete = response.status == HTTPStatus.PARTIAL_CONTENT
        finally:
            if not complete:
                response.close()
            response.release_conn()

    def location(self, url: str) -> str:
        """Return the URL that the Hub redirects to; the URL itself if it does not redirect."""
        response = get_session().head(
            url, headers=self._headers, follow_redirects=False, timeout=TIMEOUT_SECONDS
        )
        hf_raise_for_status(response)
        return urljoin(url, response.headers["Location"]) if response.is_redirect else url

    def size(self, url: str) -> int | None:
        """Return the bytes of a file, from the headers that `hf_hub_download` reads; None if it has none."""
        response = get_session().head(
            url,
            headers=self._headers | {"Accept-Encoding": "identity"},
            follow_redirects=True,
            timeout=TIMEOUT_SECONDS,
        )
        hf_raise_for_status(response)
        linked = [answer.headers.get("X-Linked-Size") for answer in (*response.history, response)]
        stated = next(filter(None, linked), None) or response.headers.get("Content-Length")
        return None if stated is None else int(stated)

    def wait_after(self, error: Exception, failures: int, source: HubSource) -> None:
        """Wait before the next attempt; raises `SourceError` if another attempt cannot succeed.

        An `OutOfTime` that is raised meanwhile has the reason as its cause.
        """
        response = error.response if isinstance(error, HfHubHTTPError) else None
        if not _is_retryable(response) or failures >= self._max_failures:
            raise self._source_error(error, source, failures) from error
        pause = min(0.5 * 2 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
        if response is not None:
            pause = _asked_to_wait(response) or pause
        until = time.monotonic() + min(pause, _LONGEST_ASKED_SECONDS)
        while (left := until - time.monotonic()) > 0:
            if not self._has_time():
                raise OutOfTime from self._source_error(error, source, failures)
            time.sleep(min(left, 1.0))

    def check_time(self) -> None:
        """Raise `OutOfTime` once the caller's time is over."""
        if not self._has_time():
            raise OutOfTime

    def _source_error(self, error: Exception, source: HubSource, failures: int) -> SourceError:
        """Return the error with problem and remedy. It quotes no library: its URL may have a signature."""
        page = self.page(source.repo)
        response = error.response if isinstance(error, HfHubHTTPError) else None
        kind: type[SourceError] = SourceError
        if isinstance(error, RevisionNotFoundError):
            problem = f"the repository has no revision {source.revision!r}"
            remedy = f"copy the commit from {page}/commits/main"
            if "/" in source.revision:
                branch, _, folder = source.revision.partition("/")
                remedy += f"; for a folder, write {source.at(branch).below(folder)}"
        elif isinstance(error, RemoteEntryNotFoundError):
            problem, remedy = "a file that the Hub lists is not there", "pin another commit"
        elif isinstance(error, RepositoryNotFoundError) or (
            response is not None and response.status_code in _CLOSED
        ):
            kind = ClosedRepository
            problem, remedy = self._closed(error, page)
        elif response is None:
            kind = HubUnavailable
            problem = f"no connection to the Hub ({type(error).__name__})"
            remedy = "check the network; what has been transferred is kept"
        else:
            problem = f"the Hub answers HTTP {response.status_code}" + (
                f", {failures} times in a row" if failures > 1 else ""
            )
            remedy = f"open {page}"
            if response.status_code == HTTPStatus.NOT_FOUND:
                # The Hub states what is missing, in a header that a mirror may not have.
                remedy = f"check repository and revision at {page}, and that {self.endpoint} has them"
            if _is_retryable(response):
                kind, remedy = HubUnavailable, "try again later: what has been transferred is kept"
        made = kind(str(source), problem, remedy)
        if isinstance(made, ClosedRepository):
            made.gated = isinstance(error, GatedRepoError)
        return made

    def _closed(self, error: Exception, page: str) -> tuple[str, str]:
        """Return problem and remedy of a repository that the Hub does not let read."""
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        if isinstance(error, GatedRepoError):
            if self.has_token:
                problem = "the repository is gated, and the token's account has no access to it"
                return problem, f"accept its terms at {page} with that account"
            return "the repository is gated", f"accept its terms at {page}, and {self._how_to_log_in}"
        if status == HTTPStatus.FORBIDDEN:
            if self.has_token:
                return (
                    "the token may not read this repository",
                    "use a token that may; a fine-grained one needs read access to public gated repositories",
                )
            return "the Hub refuses to show this repository (HTTP 403)", f"open {page}: it may be disabled"
        if status == HTTPStatus.UNAUTHORIZED and self.has_token:
            problem = "the Hub does not accept the token, or has no such repository"
            return problem, f"check the spelling, and {self._how_to_log_in}"
        problem = "the Hub has no such repository, or it is private"
        return problem, f"check the spelling; for a private one, {self._how_to_log_in}"


class HubFile:
    """A file of a repository at a commit; immutable."""

    sequential = False

    def __init__(self, hub: Hub, source: HubSource, info: RepoSibling) -> None:
        """`info` is the Hub's metadata of the file."""
        self._hub = hub
        self._source = source
        self._info = info
        self._url = hf_hub_url(source.repo, info.rfilename, revision=source.revision, endpoint=hub.endpoint)
        self._size: int | None = info.size
        self._location: str | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the file. A mirror may leave it out of its listing: then the file is asked for.

        Raises `SourceError` or `OutOfTime`.
        """
        if self._size is None:
            self._size = self._ask(self._hub.size)
        if self._size is None:
            raise SourceError(
                str(self._source),
                f"the Hub states no size of {self._info.rfilename}",
                "let the mirror send Content-Length",
            )
        return self._size

    def __repr__(self) -> str:
        """For people who debug."""
        return f"<{self._source} {self._info.rfilename}>"

    @property
    def sha256(self) -> str | None:
        """SHA-256 (hex) from the Hub's LFS metadata; None for a small file, which git itself stores."""
        return self._info.lfs.sha256 if self._info.lfs is not None else None

    def probe(self) -> None:
        """Ask the Hub for the file, but for none of its bytes; raises `SourceError` or `OutOfTime`.

        In contrast to `read`, it asks for an empty file, too, and for one whose size the listing lacks.
        """
        self._ask(self._hub.location)

    def _ask(self, question: Callable[[str], T]) -> T:
        for failures in itertools.count(1):
            try:
                return question(self._url)
            except (HfHubHTTPError, httpx2.HTTPError) as error:
                self._hub.wait_after(error, failures, self._source)
        raise AssertionError("wait_after raises at the last failure")

    def read(self, start: int, length: int) -> bytes | bytearray:
        """Read a range, as `adapters.files.ReadableFile.read`; raises `SourceError` or `OutOfTime`."""
        end = min(start + length, self.size)
        # Filled in place: joining a list of chunks would need the memory twice.
        data = bytearray(max(0, end - start))
        received = failures = 0
        relocated = False
        while start + received < end:
            before = received
            error: Exception = httpx2.RemoteProtocolError("the body ended early")
            try:
                for chunk in self._hub.stream(self._current_url(), start + received, end):
                    self._hub.check_time()
                    data[received : received + len(chunk)] = chunk
                    received += len(chunk)
            except HfHubHTTPError as failed:
                error = failed
                if failed.response.status_code in _EXPIRED and not relocated and self._forget_location():
                    relocated = True
                    continue
            except (httpx2.HTTPError, urllib3.exceptions.HTTPError) as failed:
                error = failed
            if received > before:
                failures, relocated = 0, False
            elif start + received < end:
                failures += 1
                self._hub.wait_after(error, failures, self._source)
        return data

    def content(self) -> bytes:
        """Return the whole of a small file, checked against its git hash; raises `SourceError`."""
        data = bytes(self.read(0, self.size))
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if self._info.lfs is None and self._info.blob_id and blob != self._info.blob_id:
            raise SourceError(
                str(self._source), f"{self._info.rfilename} does not hash to its blob id", "try again"
            )
        return data

    def _current_url(self) -> str:
        """Return the URL of a large file; the Hub is asked once, until that URL expires."""
        if self._info.lfs is None:
            return self._url
        with self._lock:
            if self._location is None:
                self._location = self._hub.location(self._url)
            return self._location

    def _forget_location(self) -> bool:
        """Drop an expired URL; false if there was none, so that the response is the Hub's own."""
        with self._lock:
            known = self._location not in {None, self._url}
            self._location = None
            return known


@cache
def _connections(proxy: str | None) -> urllib3.PoolManager:
    """Return the connection pool. urllib3, because it takes half of httpx2's processor time per byte."""
    if proxy is not None:
        return urllib3.ProxyManager(proxy, maxsize=_CONNECTIONS)
    return urllib3.PoolManager(maxsize=_CONNECTIONS)


def _proxy(url: str) -> str | None:
    """Return the proxy for a URL, from the environment."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _raise_for_status(url: str, response: urllib3.BaseHTTPResponse) -> None:
    """Raise huggingface_hub's error for a response: it knows the Hub's error headers."""
    if response.status >= HTTPStatus.BAD_REQUEST:
        request = httpx2.Request("GET", url)
        # urllib3 has decoded the body: it must not be decoded again.
        headers = {
            name: value for name, value in response.headers.items() if name.lower() not in _ENCODING_HEADERS
        }
        content = response.read(CHUNK_BYTES)
        hf_raise_for_status(
            httpx2.Response(response.status, headers=headers, content=content, request=request)
        )


def _is_retryable(response: httpx2.Response | None) -> bool:
    """Return whether another attempt may succeed; None: there was no response."""
    return response is None or response.status_code in _BUSY or response.is_server_error


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port, as huggingface_hub compares them (`utils/_http.py`, `_url_origin`)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _asked_to_wait(response: httpx2.Response) -> float | None:
    """Return the seconds that a busy Hub asks to wait, by either of its headers."""
    after = response.headers.get("Retry-After", "")
    if after.isdigit():
        return float(after)
    limit = parse_ratelimit_headers(response.headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None
