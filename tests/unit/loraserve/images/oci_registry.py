"""A registry of container images on loopback, with the faults that real ones have."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-anybody"


def index(*platforms: str) -> bytes:
    """The manifest of an image for several platforms, such as `linux/amd64`."""
    entries = []
    for platform in platforms:
        system, architecture = platform.split("/")
        entries.append(
            {"digest": digest_of(platform.encode()), "platform": {"os": system, "architecture": architecture}}
        )
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def digest_of(content: bytes) -> str:
    """As registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Seen:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class OciRegistry:
    """Server of manifests, by tag and by digest, to clients that have fetched a token."""

    tags: dict[str, bytes] = field(default_factory=dict)
    """By `<name>:<tag>`."""
    requests: list[Seen] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Answers that replace the normal ones, by the beginning of `<method> <path>`."""

    def __enter__(self) -> OciRegistry:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """As it stands in a reference."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def asked(self) -> list[str]:
        """The requests, without what differs between two registries."""
        return [f"{seen.method} {seen.path}" for seen in self.requests]

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        asked = f"{seen.method} {seen.path}"
        for beginning, answer in self.answers.items():
            if asked.startswith(beginning):
                return answer
        path = urlsplit(seen.path)
        _, first, *rest = path.path.split("/")
        if first == "token":
            wanted = parse_qs(path.query)
            assert wanted["service"] == ["test registry"]
            return 200, {}, json.dumps({"token": f"{TOKEN} for {wanted['scope'][0]}"}).encode()
        name, reference = "/".join(rest[:-2]), rest[-1]
        scope = f"repository:{name}:pull"
        if seen.headers.get("authorization") != f"Bearer {TOKEN} for {scope}":
            challenge = f'Bearer realm="http://{self.host}/token",service="test registry",scope="{scope}"'
            return 401, {"WWW-Authenticate": challenge}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        manifest = self._manifest(name, reference)
        if manifest is None:
            return 404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
        return 200, {"Docker-Content-Digest": digest_of(manifest)}, manifest

    def _manifest(self, name: str, reference: str) -> bytes | None:
        for tagged, manifest in self.tags.items():
            own, _, tag = tagged.rpartition(":")
            if own == name and reference in (tag, digest_of(manifest)):
                return manifest
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class RegistryHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers)
                registry.requests.append(seen)
                status, sent, body = registry.answer(seen)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | sent).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                self.close_connection = True

            do_HEAD = do_CONNECT = do_GET

            def log_message(self, *_: Any) -> None:
                """The registry's `requests` are the log."""

        return RegistryHandler
