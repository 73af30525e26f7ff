"""Plain HTTP calls to an engine or to the gateway in front of it."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """An answer and its duration."""

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
    def only_events(self) -> list[Any]:
        """The events of a stream that holds nothing else."""
        assert self.headers["content-type"].startswith("text/event-stream"), self.body
        *blocks, rest = self.body.split(b"\n\n")
        assert rest == b""
        assert all(block.startswith(b"data: ") for block in blocks)
        return [json.loads(block.removeprefix(b"data: ")) for block in blocks]

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

    def invoke(
        self, inputs: Any = "Q: ", *, stream: bool = False, path: str = "/invocations", **parameters: Any
    ) -> Answer:
        """Ask for an answer or a stream in LoRAX's schema."""
        return self.post(path, {"inputs": inputs, "parameters": parameters, "stream": stream})

    @contextlib.contextmanager
    def hanging_up(self, inputs: str = "Hello", *, path: str, **parameters: Any) -> Iterator[None]:
        """Send a request, and disconnect at the end of the block without having read an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            body = {"inputs": inputs, "parameters": parameters}
            connection.request("POST", path, json.dumps(body), JSON)
            yield
