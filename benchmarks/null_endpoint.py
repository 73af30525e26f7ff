"""Null endpoint: SageMaker Runtime and a container behind it, without a model, with known delays and faults.

    python -m benchmarks.null_endpoint --port 8090 --first-token-s 0.2 --token-s 0.02 --fault cut=100

Operations, paths, headers and errors are those of botocore's model of sagemaker-runtime (2017-05-13); answers
are the gateway's in LoRAX's schema (docs/requests.md), those of errors what the laptop cloud's runtime sends.
The same paths without signatures work, and `/invocations` answers as the container itself does.

Each token of an answer is the time at which it was written (`time.monotonic_ns`, the same clock in all
processes of a machine), but the last one, which names the adapter that answered: `[otter]`. A fault is
planted in every n-th request, counted over the server's life; each kind has a position, so that no request
has two.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast
from urllib.request import urlopen

import httptools
import uvloop
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from benchmarks.errors import BenchmarkFailed
from laptop_cloud.invocations.eventstream import payload_part, stream_exception
from laptop_cloud.ports import free_port
from stacks.project import ROOT

#: Kinds of faults, in the order of their positions among every n requests.
FAULTS = ("wrong-adapter", "cut", "model-error", "stream-error", "throttled", "no-answer", "short")
#: Path of the counts of requests and planted faults, as JSON.
COUNTS_PATH = "/counts"
#: Name of an adapter that no request asks for.
WRONG_ADAPTER = "planted-wrong-adapter"
#: Seconds between the clocks of client and service at which AWS refuses a signature (General Reference).
_SKEW_LIMIT = timedelta(minutes=5)
_STARTUP_S = 20.0


@dataclass(frozen=True)
class NullBehavior:
    """Delays and faults of the null endpoint."""

    first_token_s: float = 0.0
    token_s: float = 0.0
    stall_at_request: int | None = None
    """The request, counted from 1, at which the whole server stops for `stall_s`: it sends nothing."""
    stall_s: float = 1.0
    faults: Mapping[str, int] = field(default_factory=dict)
    """Kinds of `FAULTS`; 100 plants one in every hundred requests."""
    keys: ReadOnlyCredentials | None = None
    """Keys that signatures are verified with; None: signatures are not read."""
    region: str = "eu-central-1"
    clock_offset_s: float = 0.0
    """Seconds by which the server's clock is ahead of this machine's."""

    def fault_of(self, number: int) -> str | None:
        """Return the fault of the request with this number, counted from 0."""
        for position, kind in enumerate(FAULTS):
            every = self.faults.get(kind)
            if every and number % every == position % every:
                return kind
        return None


@dataclass
class NullCounts:
    """Requests since the server's start."""

    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    planted: dict[str, int] = field(default_factory=dict)


@dataclass
class _Call:
    """A request that has arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


class NullEndpoint(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, behavior: NullBehavior, counts: NullCounts) -> None:
        """Share `counts` with the other connections."""
        self._behavior = behavior
        self._counts = counts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the parser."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._call = _Call("", {}, b"")

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` methods."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._call = _Call("", {}, b"")

    def on_url(self, url: bytes) -> None:
        """Append a part of the path."""
        self._call.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._call.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Append a part of the body."""
        self._call.body += data

    def on_message_complete(self) -> None:
        """Answer the request."""
        call, behavior, counts = self._call, self._behavior, self._counts
        if call.path == COUNTS_PATH:
            self._respond(200, {}, vars(counts))
            return
        refused = behavior.keys and signature_error(call.headers, call.body, call.path, behavior)
        if refused:
            self._refuse(403, *refused)
            return
        number, counts.requests = counts.requests, counts.requests + 1
        if counts.requests == behavior.stall_at_request:
            time.sleep(behavior.stall_s)
        fault = behavior.fault_of(number)
        if fault is not None:
            counts.planted[fault] = counts.planted.get(fault, 0) + 1
        self._answer(json.loads(call.body), fault)

    def _answer(self, asked: dict[str, Any], fault: str | None) -> None:
        adapter = asked.get("parameters", {}).get("adapter_id")
        match fault:
            case "no-answer":
                return
            case "model-error":
                text = json.dumps({"error": "planted", "error_type": "generation"})
                message = f'Received server error (500) from primary with message "{text}".'
                members = {"OriginalStatusCode": 500, "OriginalMessage": text, "LogStreamArn": "arn:aws:logs"}
                self._respond(424, {"x-amzn-errortype": "ModelError"}, {"message": message, **members})
                return
            case "throttled":
                self._refuse(429, "ThrottlingException", "Rate exceeded")
                return
            case "wrong-adapter":
                adapter = WRONG_ADAPTER
        answer = _NullAnswer(self._transport, self._behavior, self._counts, asked, adapter, fault)
        answer.begin(aws="/endpoints/" in self._call.path)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._respond(status, {"x-amzn-errortype": code}, {"message": message})

    def _respond(self, status: int, headers: Mapping[str, str], content: Mapping[str, Any]) -> None:
        date = datetime.now(UTC) + timedelta(seconds=self._behavior.clock_offset_s)
        sent = {"Date": format_datetime(date, usegmt=True), "Content-Type": "application/json", **headers}
        self._transport.write(_response(status, sent, json.dumps(content).encode()))


class _NullAnswer:
    """The answer to one request, token by token."""

    def __init__(
        self,
        transport: asyncio.Transport,
        behavior: NullBehavior,
        counts: NullCounts,
        asked: dict[str, Any],
        adapter: str | None,
        fault: str | None,
    ) -> None:
        self._transport = transport
        self._behavior = behavior
        self._counts = counts
        self._stream = bool(asked.get("stream"))
        self._tokens = int(asked.get("parameters", {}).get("max_new_tokens", 1))
        self._input_tokens = len(asked["inputs"].split())
        self._adapter = adapter
        self._fault = fault
        self._written: list[str] = []

    def begin(self, *, aws: bool) -> None:
        """Send the head, then the first token after its delay; `aws`: in an AWS event stream."""
        self._aws = aws
        self._counts.in_flight += 1
        self._counts.most_in_flight = max(self._counts.most_in_flight, self._counts.in_flight)
        name = "" if self._adapter is None else f"adapter={self._adapter}@{'0' * 12};"
        self._headers = {"x-amzn-sagemaker-custom-attributes": f"{name}request={uuid.uuid4().hex}"}
        if self._stream:
            events = "text/event-stream"
            kinds = {"Content-Type": events}
            if aws:
                kinds = {
                    "Content-Type": "application/vnd.amazon.eventstream",
                    "x-amzn-sagemaker-content-type": events,
                }
            head = {**kinds, **self._headers, "Transfer-Encoding": "chunked"}
            self._transport.write(_head(200, head))
        delay_s = self._behavior.first_token_s
        if not self._stream:
            delay_s += self._behavior.token_s * (self._tokens - 1)
        self._after(delay_s, self._next if self._stream else self._whole)

    def _after(self, delay_s: float, work: Any) -> None:
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, work)
        else:
            work()

    def _whole(self) -> None:
        count = self._tokens // 2 if self._fault == "short" else self._tokens
        text = f"{time.monotonic_ns()} [{self._adapter}]"
        details = {"finish_reason": "length", "prompt_tokens": self._input_tokens, "generated_tokens": count}
        body = json.dumps([{"generated_text": text, "details": details}]).encode()
        response = _response(200, {"Content-Type": "application/json", **self._headers}, body)
        self._finish(response[: len(response) // 2] if self._fault == "cut" else response)

    def _next(self) -> None:
        if self._transport.is_closing():
            self._counts.in_flight -= 1
            return
        last = len(self._written) == self._tokens - 1
        text = f"[{self._adapter}]" if last else f"{time.monotonic_ns()} "
        self._written.append(text)
        broken = len(self._written) * 2 >= self._tokens
        if broken and self._fault == "cut":
            self._finish(b"")
            return
        if broken and self._fault == "stream-error":
            members = {"Message": "planted", "ErrorCode": "StreamBroken"}
            self._finish(_chunk(stream_exception("ModelStreamError", members)) + _chunk(b""))
            return
        token = {"id": 5, "text": text, "logprob": -0.1, "special": False, "skipped": False}
        details = {
            "finish_reason": "length",
            "prompt_tokens": self._input_tokens,
            "generated_tokens": self._tokens,
        }
        event = {
            "token": token,
            "generated_text": "".join(self._written) if last else None,
            "details": details if last else None,
        }
        data = b"data: " + json.dumps(event).encode() + b"\n\n"
        chunk = _chunk(payload_part(data) if self._aws else data)
        if last:
            self._finish(chunk + _chunk(b""))
        else:
            self._transport.write(chunk)
            self._after(self._behavior.token_s, self._next)

    def _finish(self, data: bytes) -> None:
        self._counts.in_flight -= 1
        if data:
            self._transport.write(data)
        if self._fault == "cut":
            self._transport.close()


def signature_error(
    headers: Mapping[str, str], body: bytes, path: str, behavior: NullBehavior
) -> tuple[str, str] | None:
    """Return the code and the message with which AWS refuses a signature; None for a valid one.

    A new `SigV4Auth` of botocore signs what has arrived, at the time that it names, and must get the same.
    """
    given = headers.get("authorization", "")
    date = headers.get("x-amz-date", "")
    keys = behavior.keys
    if keys is None or not given or not date:
        return "MissingAuthenticationTokenException", "Missing Authentication Token"
    if headers.get("x-amz-security-token") != keys.token:
        return "UnrecognizedClientException", "The security token included in the request is invalid."
    signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    service_time = datetime.now(UTC) + timedelta(seconds=behavior.clock_offset_s)
    limit = service_time - _SKEW_LIMIT
    if signed_at < limit:
        return "InvalidSignatureException", (
            f"Signature expired: {date} is now earlier than {limit:%Y%m%dT%H%M%SZ} "
            f"({service_time:%Y%m%dT%H%M%SZ} - 5 min.)"
        )
    if signed_at > service_time + _SKEW_LIMIT:
        return "InvalidSignatureException", (
            f"Signature not yet current: {date} is still later than "
            f"{service_time + _SKEW_LIMIT:%Y%m%dT%H%M%SZ} "
            f"({service_time:%Y%m%dT%H%M%SZ} + 5 min.)"
        )
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest("POST", f"http://{headers['host']}{path}", data=body)
    for name in names:
        request.headers[name] = headers[name]
    request.context["timestamp"] = date
    auth = SigV4Auth(keys, "sagemaker", behavior.region)
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if not given.endswith(f"Signature={expected}") or auth.scope(request) not in given:
        return "InvalidSignatureException", (
            "The request signature we calculated does not match the signature you provided."
        )
    return None


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1")


def _response(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    return _head(status, {**headers, "Content-Length": str(len(body))}) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextlib.contextmanager
def null_endpoint(*options: str, core: int | None = None) -> Iterator[str]:
    """Run the server with command line options in a process; yields its URL. `core` binds it to one core."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.null_endpoint", "--port", str(port), *options]
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def read_counts(url: str) -> dict[str, Any]:
    """Return the counts of the server at `url`, the fields of `NullCounts`."""
    with urlopen(url + COUNTS_PATH, timeout=5) as response:  # noqa: S310 - a URL of `null_endpoint`
        return dict(json.load(response))


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTUP_S
    while True:
        try:
            read_counts(url)
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkFailed(f"the null endpoint at {url} does not answer") from error
            time.sleep(0.02)


async def serve(port: int, behavior: NullBehavior) -> asyncio.Server:
    """Start the server in the running event loop."""
    counts = NullCounts()
    return await asyncio.get_running_loop().create_server(
        lambda: NullEndpoint(behavior, counts), "127.0.0.1", port, backlog=4096
    )


async def _serve_forever(port: int, behavior: NullBehavior) -> None:
    server = await serve(port, behavior)
    await server.serve_forever()


def main(arguments: Sequence[str]) -> None:
    """Serve until the process is killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.null_endpoint")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first-token-s", type=float, default=0.0)
    parser.add_argument("--token-s", type=float, default=0.0)
    parser.add_argument("--stall-at-request", type=int)
    parser.add_argument("--stall-s", type=float, default=1.0)
    parser.add_argument("--fault", action="append", default=[], help=f"KIND=N; KIND is {', '.join(FAULTS)}")
    parser.add_argument("--keys", help="ACCESS_KEY:SECRET_KEY[:TOKEN] that signatures are verified with")
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--clock-offset-s", type=float, default=0.0)
    given = parser.parse_args(arguments)
    faults = {kind: int(every) for kind, _, every in (fault.partition("=") for fault in given.fault)}
    if unknown := set(faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    access, secret, *token = given.keys.split(":") if given.keys else ("", "")
    behavior = NullBehavior(
        first_token_s=given.first_token_s,
        token_s=given.token_s,
        stall_at_request=given.stall_at_request,
        stall_s=given.stall_s,
        faults=faults,
        keys=ReadOnlyCredentials(access, secret, token[0] if token else None) if given.keys else None,
        region=given.region,
        clock_offset_s=given.clock_offset_s,
    )
    uvloop.run(_serve_forever(given.port, behavior))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
