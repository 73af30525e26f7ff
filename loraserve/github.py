"""Requests to GitHub's REST API, by commands that workflows run.

Standard library only: some of them run without an installation. The forms of requests and answers are
those of version 2022-11-28 of the API, https://docs.github.com/en/rest.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPMessage, HTTPResponse
from typing import IO, Any

from loraserve.errors import UserError

_SECONDS = 30
#: The address of the next page, in the header `Link`.
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
_REMEDIES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "set GITHUB_TOKEN to the job's token",
    HTTPStatus.FORBIDDEN: "give the job the permissions that its file in .github/workflows lists, and check "
    "that the organization's settings allow them",
    HTTPStatus.NOT_FOUND: "check that it still exists, and the job's permissions",
    HTTPStatus.GONE: "start a new run: what GitHub keeps of an old run is deleted",
}
_RUN_AGAIN = "run the job again; https://www.githubstatus.com has GitHub's incidents"


class GitHubError(UserError):
    """A request that GitHub refused or did not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        """`status` is the HTTP status of a refusal."""
        super().__init__(message)
        self.status = status


class TooLarge(GitHubError):
    """An answer above the limit; the rest of it was not read."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: urllib would send the token to the new address, whatever its host."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Return no request for the new address."""


_OPENER = urllib.request.build_opener(_NoRedirect)


@dataclass(frozen=True)
class GitHub:
    """The API of one repository."""

    address: str
    """E.g. `https://api.github.com`; GitHub Enterprise Server has another."""
    repository: str
    """Owner and name."""
    token: str = field(repr=False)

    @classmethod
    def of_job(cls, environment: Mapping[str, str]) -> GitHub:
        """Return the API of a job's repository; the job's token is in GITHUB_TOKEN."""
        address = environment.get("GITHUB_API_URL", "https://api.github.com")
        return cls(address, environment["GITHUB_REPOSITORY"], environment["GITHUB_TOKEN"])

    def get(self, path: str, **query: str) -> Any:
        """Return the answer to `GET /repos/OWNER/NAME/path`; raises `GitHubError`."""
        return self._json(self._open("GET", self._url(path, query))[0])

    def pages(self, path: str, key: str = "", **query: str) -> Iterator[Any]:
        """Yield the entries of all pages of a list; `key` is where an answer that is an object has them."""
        url: str | None = self._url(path, {**query, "per_page": "100"})
        while url is not None:
            body, links = self._open("GET", url)
            found = self._json(body)
            yield from found[key] if key else found
            following = _NEXT.search(links)
            url = None if following is None else following[1]

    def send(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """Send a request that changes something, and return the answer; raises `GitHubError`."""
        return self._json(self._open(method, self._url(path, {}), content)[0])

    def download(self, path: str, limit: int) -> bytes:
        """Return a file that the answer redirects to; raises `TooLarge` above `limit` bytes.

        The new address is signed, and belongs to another service: it does not get the token.
        """
        url = self._url(path, {})
        try:
            answer = _OPENER.open(self._request("GET", url), timeout=_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code not in (HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT):
                raise _refusal("GET", url, error) from error
            answer = _plain(error.headers["Location"])
        except OSError as error:
            raise GitHubError(f"GET {url}: no answer ({error}); {_RUN_AGAIN}") from error
        with answer:
            return _read(answer, limit, path)

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        url = f"{self.address}/repos/{self.repository}/{path}"
        return f"{url}?{urllib.parse.urlencode(query)}" if query else url

    def _request(
        self, method: str, url: str, content: Mapping[str, Any] | None = None
    ) -> urllib.request.Request:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "lora-serving",
        }
        body = None if content is None else json.dumps(content).encode()
        return urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - GitHub's address

    def _open(self, method: str, url: str, content: Mapping[str, Any] | None = None) -> tuple[bytes, str]:
        """Return the answer and its header `Link`."""
        try:
            with _OPENER.open(self._request(method, url, content), timeout=_SECONDS) as answer:
                return answer.read(), answer.headers.get("Link", "")
        except urllib.error.HTTPError as error:
            raise _refusal(method, url, error) from error
        except OSError as error:
            raise GitHubError(f"{method} {url}: no answer ({error}); {_RUN_AGAIN}") from error

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body) if body else None
        except ValueError as error:
            raise GitHubError(f"{self.address}: an answer is not JSON; {_RUN_AGAIN}") from error


def _plain(url: str) -> HTTPResponse:
    """Open an address without the token."""
    try:
        return urllib.request.urlopen(url, timeout=_SECONDS)  # type: ignore[no-any-return] # noqa: S310
    except OSError as error:
        raise GitHubError(f"the artifact could not be downloaded ({error}); {_RUN_AGAIN}") from error


def _read(answer: HTTPResponse, limit: int, path: str) -> bytes:
    content = answer.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(f"{path} has more than {limit:,} bytes; check what the pull request's review writes")
    return content


def _refusal(method: str, url: str, error: urllib.error.HTTPError) -> GitHubError:
    """Return the error with GitHub's own message, e.g. `Resource not accessible by integration`."""
    with error:
        try:
            message = str(json.loads(error.read(10_000)).get("message", ""))
        except (ValueError, AttributeError):
            message = ""
    reason = f"{error.code} {message or error.reason}"
    return GitHubError(
        f"{method} {url}: {reason}; {_REMEDIES.get(error.code, _RUN_AGAIN)}", status=error.code
    )
