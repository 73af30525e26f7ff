"""A Hugging Face Hub and its CDN on two free ports of loopback.

`python -m tests.hub.server FOLDER` serves FOLDER/<org>/<name>/ as repositories until stdin closes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import json
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote

from tests.hub.listener import HubRequest, Listener, Refusal, Reply
from tests.hub.repository import Commit, Faults, HubFile, Repository, byte_range


class HubServer:
    """The Hub and the CDN, serving inside of a `with` block."""

    def __init__(self, port: int = 0, path: str = "") -> None:
        """Bind both ports; `port` is the Hub's, 0: a free one.

        `path` is that of an artifact repository, e.g. `/artifactory/api/huggingfaceml/hf`: without it, all
        routes are absent.
        """
        self.repositories: dict[str, Repository] = {}
        self.tokens: dict[str, set[str]] = {}
        """Valid tokens, and the gated and private repositories that they may read."""
        self.faults = Faults()
        self.link_seconds: float = 3600
        """Seconds until a link to the CDN expires."""
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._requests: list[HubRequest] = []
        self._secret = secrets.token_bytes()
        self._links = 0
        self._link_uses: Counter[str] = Counter()
        hub, cdn = self._listeners = (Listener(self, "hub", port), Listener(self, "cdn"))
        self._path = path
        self.endpoint = f"http://127.0.0.1:{hub.port}{path}"
        self.cdn = f"http://localhost:{cdn.port}"

    def __enter__(self) -> Self:
        """Start serving."""
        for listener in self._listeners:
            threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and close the connections that are open."""
        self.closing.set()
        for listener in self._listeners:
            listener.stop()

    @property
    def requests(self) -> list[HubRequest]:
        """The requests so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    def reset_requests(self) -> None:
        """Clear the log of requests."""
        with self._lock:
            self._requests.clear()

    def add(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path],
        *,
        branch: str = "main",
        gated: bool = False,
        private: bool = False,
    ) -> str:
        """Commit exactly these files to a branch; the flags are the repository's from now on."""
        with self._lock:
            repository = self.repositories.setdefault(repo_id, Repository(repo_id))
        repository.gated, repository.private = gated, private
        return repository.add(files, branch)

    def tag(self, repo_id: str, name: str, commit: str) -> None:
        """Point a tag to a commit."""
        self.repositories[repo_id].tags[name] = commit

    def answer(self, request: HubRequest, form: bytes) -> Reply:
        """Log the request and return its response."""
        with self._lock:
            self._requests.append(request)
        self.closing.wait(self.faults.latency_seconds)
        try:
            if request.host == "hub" and self.faults.due("rate_limit"):
                wait = str(self.faults.retry_after_seconds)
                raise Refusal.of_hub(429, None, "We had to rate limit you", Retry_After=wait)
            if times := self.faults.due("server_error"):
                raise Refusal.of_hub(500 if times % 2 else 503, None, "Internal error - we are working on it")
            return self._storage(request) if request.host == "cdn" else self._hub(request, form)
        except Refusal as refusal:
            return refusal.answer

    def _hub(self, request: HubRequest, form: bytes) -> Reply:
        if not request.path.startswith(f"{self._path}/"):
            raise Refusal(404, {}, b"")
        match [unquote(part) for part in request.path.removeprefix(self._path).split("/")[1:]]:
            case ["api", "whoami-v2"]:
                return self._whoami(request)
            case ["api", "models", org, name, *rest]:
                return self._api(request, self._repository(request, f"{org}/{name}"), rest, form)
            case [org, name, "resolve", revision, *parts] if parts:
                repository = self._repository(request, f"{org}/{name}")
                return self._resolve(request, repository, revision, "/".join(parts))
        raise self._no_repository(request)

    def _whoami(self, request: HubRequest) -> Reply:
        """Answer as the route of HfApi.whoami, with the parts that every kind of account has."""
        if request.token is None or request.token not in self.tokens:
            raise Refusal.of_hub(401, None, "Invalid username or password.")
        token = {"displayName": "test", "role": "read", "createdAt": "2026-01-01T00:00:00.000Z"}
        account = {"type": "user", "id": "62f264b9f3c90f4b6514a269", "name": "reader"}
        data = account | {"auth": {"type": "access_token", "accessToken": token}}
        return Reply(200, {"Content-Type": "application/json; charset=utf-8"}, _json(data))

    def _api(self, request: HubRequest, repository: Repository, route: list[str], form: bytes) -> Reply:
        query = parse_qs(request.query)
        if query and self.faults.refuse_queries:
            raise Refusal(404, {}, b"")
        data: Any
        match route:
            case [] | ["revision", _]:
                commit = self._commit(repository, route[1] if route else "main")
                blobs = query.get("blobs", [""])[0].lower() in ("true", "1")
                data = repository.info(commit, blobs=blobs and not self.faults.bare_listing)
                if self.faults.unnamed_commit:
                    del data["sha"]
            case ["tree", revision, *folder]:
                recursive = query.get("recursive", [""])[0].lower() in ("true", "1")
                commit = self._commit(repository, revision)
                data = commit.tree("/".join(folder), recursive=recursive)
                if folder and not data:
                    raise Refusal.of_hub(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit.id)
            case ["paths-info", revision]:
                paths = parse_qs(form.decode()).get("paths", [])
                files = self._commit(repository, revision).files
                data = [files[path].tree_entry() for path in paths if path in files]
            case ["refs"]:
                data = repository.refs()
            case ["auth-check"]:
                self._check_gate(request, repository)
                data = {}
            case _:
                raise Refusal.of_hub(404, None, "Sorry, we can't find the page you are looking for.")
        return Reply(200, {"Content-Type": "application/json; charset=utf-8"}, _json(data))

    def _resolve(self, request: HubRequest, repository: Repository, revision: str, path: str) -> Reply:
        self._check_gate(request, repository)
        commit = self._commit(repository, revision)
        file = commit.files.get(path)
        if file is None:
            raise Refusal.of_hub(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit.id)
        headers = {"X-Repo-Commit": commit.id, "ETag": f'"{file.blob_id}"'}
        if file.sha256 is None:
            return self._send(request, file, headers | {"Content-Type": "text/plain; charset=utf-8"})
        link = self._link(f"/repos/{repository.id}/{commit.id}/{quote(path)}")
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        headers |= {"Accept-Ranges": "bytes", "Location": link, "Content-Type": "text/plain; charset=utf-8"}
        return Reply(302, headers, f"Found. Redirecting to {link}".encode())

    def _storage(self, request: HubRequest) -> Reply:
        """Serve a file to a request with a link that the Hub signed and that has not expired."""
        signed, _, signature = f"{request.path}?{request.query}".rpartition("&Signature=")
        if not hmac.compare_digest(self._signature(signed).encode(), signature.encode()):
            raise Refusal.of_storage(403, "AccessDenied", "Access denied")
        with self._lock:
            self._link_uses[signature] += 1
            used_up = 0 < self.faults.expire_links_after < self._link_uses[signature]
        if used_up or time.time() >= int(parse_qs(request.query)["Expires"][0]):
            raise Refusal.of_storage(403, "AccessDenied", "Request has expired")
        org, name, commit, path = unquote(request.path.removeprefix("/repos/")).split("/", 3)
        file = self.repositories[f"{org}/{name}"].commits[commit].files[path]
        return self._send(
            request, file, {"ETag": f'"{file.sha256}"', "Content-Type": "application/octet-stream"}
        )

    def _send(self, request: HubRequest, file: HubFile, headers: dict[str, str]) -> Reply:
        """Return the file, or the requested range."""
        flipped = file.size // 2 if file.path in self.faults.corrupt else -1
        if self.faults.refuse_ranges:
            return Reply(200, headers, file, range(file.size), flipped)
        headers = headers | {"Accept-Ranges": "bytes"}
        span = byte_range(request.headers.get("range"), file.size)
        if span is None:
            return Reply(200, headers, file, range(file.size), flipped)
        if not span:
            raise Refusal.of_storage(
                416, "InvalidRange", "The range cannot be satisfied", Content_Range=f"bytes */{file.size}"
            )
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{file.size}"
        return Reply(206, headers, file, span, flipped)

    def _link(self, path: str) -> str:
        """Return a link to the CDN that no other response has."""
        with self._lock:
            self._links += 1
            signed = f"{path}?Expires={int(time.time() + self.link_seconds)}&Key-Pair-Id=K{self._links}"
        return f"{self.cdn}{signed}&Signature={self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        return hmac.new(self._secret, signed.encode(), hashlib.sha256).hexdigest()

    def _may_read(self, request: HubRequest, repo_id: str) -> bool:
        return request.token is not None and repo_id in self.tokens.get(request.token, ())

    def _no_repository(self, request: HubRequest) -> Refusal:
        if request.token is None:
            return Refusal.of_hub(401, "RepoNotFound", "Invalid username or password.")
        return Refusal.of_hub(404, "RepoNotFound", "Repository not found")

    def _repository(self, request: HubRequest, repo_id: str) -> Repository:
        if request.token is not None and request.token not in self.tokens:
            raise Refusal.of_hub(401, None, "Invalid credentials in Authorization header")
        repository = self.repositories.get(repo_id)
        if repository is None or (repository.private and not self._may_read(request, repo_id)):
            raise self._no_repository(request)
        return repository

    def _commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.at(revision)
        if commit is None:
            raise Refusal.of_hub(404, "RevisionNotFound", f"Invalid rev id: {quote(revision)}")
        return commit

    def _check_gate(self, request: HubRequest, repository: Repository) -> None:
        """As on the Hub, everyone may list a gated repository, and some may read its files."""
        if not repository.gated or self._may_read(request, repository.id):
            return
        # The texts of huggingface.co, e.g. huggingface/transformers#31367, city96/ComfyUI_ExtraModels#99 (401).
        restricted = f"Access to model {repository.id} is restricted"
        if request.token is None:
            how = "You must have access to it and be authenticated to access it. Please log in."
            raise Refusal.of_hub(401, "GatedRepo", f"{restricted}. {how}")
        how = f"Visit {self.endpoint}/{repository.id} to ask for access."
        raise Refusal.of_hub(403, "GatedRepo", f"{restricted} and you are not in the authorized list. {how}")


def _json(data: Any) -> bytes:
    return json.dumps(data).encode()


def add_folder(hub: HubServer, folder: Path) -> dict[str, str]:
    """Add each `<org>/<name>/` of the folder; gives the commits."""
    return {
        root.relative_to(folder).as_posix(): hub.add(
            root.relative_to(folder).as_posix(),
            {file.relative_to(root).as_posix(): file for file in root.rglob("*") if file.is_file()},
        )
        for root in sorted(folder.glob("*/*"))
        if root.is_dir()
    }


def main() -> None:
    """Serve a folder until SIGTERM, SIGINT or the end of stdin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each response")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), HubServer() as hub:
        hub.faults.latency_seconds = arguments.latency
        commits = add_folder(hub, arguments.folder)
        print(json.dumps({"endpoint": hub.endpoint, "commits": commits}), flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
