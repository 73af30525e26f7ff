"""The part of GitHub's REST API that the commands of workflows use, as a server with state.

Paths, statuses and fields are those of https://docs.github.com/en/rest (version 2022-11-28): pulls, their reviews,
issues, comments, labels, timeline, workflow runs, their approvals and artifacts. Lists come in pages with the header `Link`. An artifact's download
redirects to a signed address of another service, which refuses a request that has a token, as Azure's does.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

REPOSITORY = "octo-org/octo-repo"
TOKEN = "ghs_test"
WORKFLOW = 2823525
BOT = {"login": "github-actions[bot]", "type": "Bot"}
HOME = {"id": 300029405, "full_name": REPOSITORY, "owner": {"login": "octo-org"}}
FORK = {"id": 300029999, "full_name": "mallory/octo-repo", "owner": {"login": "mallory"}}


@dataclass
class Answered:
    """An answer: status, content, and a header that it has besides."""

    status: int
    content: Any = None
    header: tuple[str, str] | None = None


@dataclass
class GitHubDouble:
    """State of one repository, and the requests that were made."""

    url: str = ""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    timeline: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    approvals: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    archives: dict[int, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    page: int = 100
    """Entries of a page at most; a small number makes several pages."""
    refused: Mapping[str, Answered] = field(default_factory=dict)
    """Answers instead of the real ones, by the start of `METHOD path`."""

    def open_pull(
        self, number: int, sha: str, branch: str = "change", repo: Mapping[str, Any] = HOME
    ) -> None:
        """Open a pull request of a branch."""
        head = {"sha": sha, "ref": branch, "repo": repo, "user": repo["owner"]}
        self.pulls.append({"number": number, "state": "open", "head": head, "labels": []})
        self.comments[number] = []
        self.timeline[number] = []

    def pull(self, number: int) -> dict[str, Any]:
        """Return a pull request."""
        [found] = [each for each in self.pulls if each["number"] == number]
        return found

    def labels(self, number: int) -> list[str]:
        """Return the names of a pull request's labels."""
        return [label["name"] for label in self.pull(number)["labels"]]

    def label(self, number: int, name: str, time: str) -> None:
        """Set a label."""
        self.pull(number)["labels"].append({"name": name})
        self.timeline[number].append({"event": "labeled", "created_at": time, "label": {"name": name}})

    def push(self, number: int, sha: str) -> None:
        """Push to a pull request's branch."""
        self.pull(number)["head"]["sha"] = sha
        # As documented, an event of another kind has other fields.
        self.timeline[number].append({"event": "committed", "sha": sha})

    def review(
        self, number: int, time: str, archive: bytes | None, *, conclusion: str = "success"
    ) -> dict[str, Any]:
        """Complete a run of the review of a pull request's head; returns its event `workflow_run`."""
        head = self.pull(number)["head"]
        run = {
            "id": 1000 + len(self.runs),
            "workflow_id": WORKFLOW,
            "event": "pull_request",
            "conclusion": conclusion,
            "created_at": time,
            "run_started_at": time,
            "head_branch": head["ref"],
            "head_sha": head["sha"],
            "head_repository": head["repo"],
            "html_url": f"https://github.com/{REPOSITORY}/actions/runs/{1000 + len(self.runs)}",
            # GitHub leaves it empty for a fork.
            "pull_requests": [],
        }
        self.runs.append(run)
        self.artifacts[run["id"]] = []
        if archive is not None:
            self.add_artifact(run["id"], archive)
        return {"action": "completed", "workflow_run": run, "repository": HOME}

    def add_artifact(self, run: int, archive: bytes, **fields: Any) -> None:
        """Upload an artifact of a run."""
        number = 5000 + len(self.archives)
        self.archives[number] = archive
        artifact = {"id": number, "name": "review", "size_in_bytes": len(archive), "expired": False}
        self.artifacts[run].append(artifact | fields)

    def answer(self, method: str, path: str, query: Mapping[str, str], content: Any) -> Answered:
        """Answer a request to the repository's part of the API."""
        for pattern, of_route in _ROUTES:
            found = re.fullmatch(pattern, f"{method} {path}")
            if found is not None:
                return of_route(self, found, query, content)
        return Answered(404, {"message": "Not Found"})


def _pulls(github: GitHubDouble, _: re.Match[str], query: Mapping[str, str], __: Any) -> Answered:
    owner, _, branch = query["head"].partition(":")
    found = [
        pull
        for pull in github.pulls
        if pull["state"] == query["state"]
        and pull["head"]["ref"] == branch
        and pull["head"]["user"]["login"] == owner
    ]
    return Answered(200, found)


def _comments(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    return Answered(200, github.comments[int(path[1])])


def _comment(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], content: Any) -> Answered:
    comments = github.comments[int(path[1])]
    comment = {"id": int(path[1]) * 100 + len(comments), "user": BOT, **content}
    comments.append(comment)
    return Answered(201, comment)


def _edit(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], content: Any) -> Answered:
    [comment] = [each for found in github.comments.values() for each in found if each["id"] == int(path[1])]
    comment.update(content)
    return Answered(200, comment)


def _timeline(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    return Answered(200, github.timeline[int(path[1])])


def _unlabel(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    labels = github.pull(int(path[1]))["labels"]
    left = [label for label in labels if label["name"] != unquote(path[2])]
    if left == labels:
        return Answered(404, {"message": "Label does not exist"})
    github.pull(int(path[1]))["labels"] = left
    return Answered(200, left)


def _runs(github: GitHubDouble, path: re.Match[str], query: Mapping[str, str], _: Any) -> Answered:
    found = [
        run
        for run in github.runs
        if run["workflow_id"] == int(path[1])
        and run["head_sha"] == query["head_sha"]
        and run["event"] == query["event"]
    ]
    return Answered(200, {"total_count": len(found), "workflow_runs": found})


def _artifacts(github: GitHubDouble, path: re.Match[str], query: Mapping[str, str], _: Any) -> Answered:
    found = [each for each in github.artifacts[int(path[1])] if each["name"] == query["name"]]
    return Answered(200, {"total_count": len(found), "artifacts": found})


def _zip(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    return Answered(302, header=("Location", f"{github.url}/blob/{path[1]}?sig=secret"))


def _issues(github: GitHubDouble, _: re.Match[str], query: Mapping[str, str], __: Any) -> Answered:
    return Answered(200, [each for each in github.issues if each["state"] == query["state"]])


def _open_issue(github: GitHubDouble, _: re.Match[str], __: Mapping[str, str], content: Any) -> Answered:
    issue = {"number": 100 + len(github.issues), "state": "open", "user": BOT, **content}
    github.issues.append(issue)
    github.comments[issue["number"]] = []
    return Answered(201, issue)


def _edit_issue(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], content: Any) -> Answered:
    [issue] = [each for each in github.issues if each["number"] == int(path[1])]
    issue.update(content)
    return Answered(200, issue)


def _approvals(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    return Answered(200, github.approvals.get(int(path[1]), []))


def _pulls_of_commit(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    commits = ("merge_commit_sha", "also")
    return Answered(200, [pull for pull in github.pulls if path[1] in [pull.get(name) for name in commits]])


def _reviews(github: GitHubDouble, path: re.Match[str], _: Mapping[str, str], __: Any) -> Answered:
    return Answered(200, github.reviews.get(int(path[1]), []))


_Route = Callable[[GitHubDouble, re.Match[str], Mapping[str, str], Any], Answered]
_ROUTES: list[tuple[str, _Route]] = [
    ("GET pulls", _pulls),
    ("GET issues", _issues),
    ("POST issues", _open_issue),
    (r"PATCH issues/(\d+)", _edit_issue),
    (r"GET actions/runs/(\d+)/approvals", _approvals),
    (r"GET commits/([0-9a-f]+)/pulls", _pulls_of_commit),
    (r"GET pulls/(\d+)/reviews", _reviews),
    (r"GET issues/(\d+)/comments", _comments),
    (r"POST issues/(\d+)/comments", _comment),
    (r"PATCH issues/comments/(\d+)", _edit),
    (r"GET issues/(\d+)/timeline", _timeline),
    (r"DELETE issues/(\d+)/labels/([^/]+)", _unlabel),
    (r"GET actions/workflows/(\d+)/runs", _runs),
    (r"GET actions/runs/(\d+)/artifacts", _artifacts),
    (r"GET actions/artifacts/(\d+)/zip", _zip),
]


class _Handler(BaseHTTPRequestHandler):
    github: GitHubDouble

    def _handle(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        content = json.loads(self.rfile.read(length)) if length else None
        if url.path.startswith("/blob/"):
            self._blob(int(url.path.removeprefix("/blob/")))
            return
        path = url.path.removeprefix(f"/repos/{REPOSITORY}/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.github.requests.append(f"{self.command} {path}")
        refused = [
            each for start, each in self.github.refused.items() if f"{self.command} {path}".startswith(start)
        ]
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            answer = Answered(401, {"message": "Bad credentials"})
        elif refused:
            answer = refused[0]
        else:
            answer = self._page(self.github.answer(self.command, path, query, content), path, query)
        self._send(answer.status, json.dumps(answer.content).encode(), answer.header)

    def _page(self, answer: Answered, path: str, query: Mapping[str, str]) -> Answered:
        """Cut a list to its page."""
        content = answer.content
        keys = [key for key in ("workflow_runs", "artifacts") if isinstance(content, dict) and key in content]
        entries = content[keys[0]] if keys else content
        if self.command != "GET" or not isinstance(entries, list):
            return answer
        size, number = min(self.github.page, int(query.get("per_page", 30))), int(query.get("page", 1))
        shown = entries[size * (number - 1) : size * number]
        following = urlencode({**query, "page": number + 1})
        link = f'<{self.github.url}/repos/{REPOSITORY}/{path}?{following}>; rel="next"'
        more = size * number < len(entries)
        return Answered(200, content | {keys[0]: shown} if keys else shown, ("Link", link) if more else None)

    def _blob(self, number: int) -> None:
        if "Authorization" in self.headers:
            self._send(400, b"<Error><Code>InvalidAuthenticationInfo</Code></Error>")
        else:
            self._send(200, self.github.archives[number])

    def _send(self, status: int, body: bytes, header: tuple[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if header is not None:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""


@contextmanager
def github_double() -> Iterator[GitHubDouble]:
    """Serve a repository on the loopback interface."""
    github = GitHubDouble()
    handler = type("Handler", (_Handler,), {"github": github})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        github.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield github
        finally:
            server.shutdown()
            thread.join()
