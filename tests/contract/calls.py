"""Plain HTTP calls to an engine or to the gateway in front of it, and the bucket that both read."""

import contextlib
import hashlib
import http.client
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.store.layout import (
    ADAPTER_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    RegistryEntry,
    content_digest,
    registry_key,
    revision_of,
)
from samples.spec import ADAPTERS_DIR

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """An answer, and how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """`generated_text` of an answer or of the last event of a stream."""
        if self.headers["content-type"].startswith("text/event-stream"):
            return str(self.events[-1]["generated_text"])
        answer = self.json
        return str((answer[0] if isinstance(answer, list) else answer)["generated_text"])

    @property
    def events(self) -> list[Any]:
        """The events of a stream, without comments and end mark."""
        blocks = self.body.decode().split("\n\n")
        data = [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]
        return [json.loads(each) for each in data if each != "[DONE]"]

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, type and text of an error, which in a stream is the last event."""
        streamed = self.headers["content-type"].startswith("text/event-stream")
        body = self.events[-1] if streamed else self.json
        return self.status, body.get("error_type", "no error"), str(body.get("error", body))


@dataclass(frozen=True)
class Client:
    """Calls to one port of this machine."""

    port: int

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, content, time.monotonic() - began)

    def post(self, path: str, body: Any, timeout: float = 30) -> Answer:
        return self.request("POST", path, json.dumps(body).encode(), JSON, timeout)

    def get(self, path: str, timeout: float = 30) -> Answer:
        return self.request("GET", path, timeout=timeout)

    def generate(
        self, inputs: Any = "Hello", *, path: str = "/generate", timeout: float = 30, **parameters: Any
    ) -> Answer:
        return self.post(path, {"inputs": inputs, "parameters": parameters}, timeout)

    @contextlib.contextmanager
    def hanging_up(self, inputs: str = "Hello", *, path: str, **parameters: Any) -> Iterator[None]:
        """A request whose caller hangs up at the end of the block, without having read an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            body = {"inputs": inputs, "parameters": parameters}
            connection.request("POST", path, json.dumps(body), JSON)
            yield


class Bucket:
    """A bucket of the laptop cloud."""

    def __init__(self, s3: Any) -> None:
        self.name = f"contract-{uuid.uuid4().hex[:12]}"
        self._s3 = s3
        s3.create_bucket(Bucket=self.name)

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.name, Key=key)

    def put_sample(self, prefix: str, name: str, **config: object) -> None:
        """The files of a sample adapter, with changes to its config."""
        for file, content in sample_files(name, **config).items():
            self.put(f"{prefix.rstrip('/')}/{file}", content)

    def register(self, name: str, sample: str, **config: object) -> str:
        """Publish a sample adapter under a name, as the seeder does; gives its engine id."""
        files = sample_files(sample, **config)
        return self.register_files(name, files)

    def register_files(self, name: str, files: Mapping[str, bytes]) -> str:
        """The same for any files; of a revision without files only the registry knows."""
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        digest = content_digest(digests)
        size = len(files.get(WEIGHTS_FILE, b""))
        entry = RegistryEntry(name, revision_of(digest), digest, 8, size, "tiny-mistral", "tests")
        for file, content in files.items():
            self.put(entry.prefix + file, content)
        self.put(registry_key(name), entry.to_json())
        return entry.prefix


def sample_files(name: str, **config: object) -> dict[str, bytes]:
    files = {file: (ADAPTERS_DIR / name / file).read_bytes() for file in ADAPTER_FILES}
    files[CONFIG_FILE] = json.dumps(json.loads(files[CONFIG_FILE]) | config).encode()
    return files


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s: {what}"
        time.sleep(0.02)
