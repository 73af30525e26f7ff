"""The second handler's response to errors of S3."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from adapters.source import SourceError
from lambdas.adapter_seeder.iam_propagation import PROPAGATION_SECONDS
from lambdas.adapter_seeder.is_complete import TookTooLong, handle
from tests.unit.lambdas.adapter_seeder.test_properties import custom_resource

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


class Answering(BaseHTTPRequestHandler):
    """An S3 with one response to every request."""

    status = 503

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answering]]:
    handler = type("Answering", (Answering,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in {"ACCESS_KEY_ID": "0", "SECRET_ACCESS_KEY": "0", "REGION": "us-east-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        yield handler
        server.shutdown()


def event(templates: dict[str, Any], started_at: float) -> dict[str, Any]:
    properties = custom_resource(templates["Local/AdapterStore"]) | {"Bucket": "store", "ManifestBucket": "a"}
    return {
        "RequestType": "Update",
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/store/1",
        "StartedAt": started_at,
        "ResourceProperties": properties,
    }


def test_an_outage_is_waited_for(templates: dict[str, Any], s3: type[Answering]) -> None:
    assert handle(event(templates, time.time()), CONTEXT) == {"IsComplete": False}


def test_an_s3_without_an_answer_is_waited_for(
    templates: dict[str, Any], s3: type[Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert handle(event(templates, time.time()), CONTEXT) == {"IsComplete": False}


def test_waiting_ends_before_cloudformation_gives_up(templates: dict[str, Any], s3: type[Answering]) -> None:
    with pytest.raises(TookTooLong, match="what has been transferred is kept: deploy again"):
        handle(event(templates, time.time() - 56 * 60), CONTEXT)


def test_a_request_that_is_denied_long_after_the_roles_change_is_reported_at_once(
    templates: dict[str, Any], s3: type[Answering]
) -> None:
    s3.status = 403
    with pytest.raises(Exception, match="S3 answers 403 to s3:GetObject; allow it") as refused:
        handle(event(templates, time.time() - PROPAGATION_SECONDS), CONTEXT)
    assert not isinstance(refused.value, ClientError), "a person would not know what to do"


def test_a_request_that_is_denied_right_after_it_is_repeated_for_two_minutes(
    templates: dict[str, Any], s3: type[Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    started = time.time()
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=slept.append))
    clock = SimpleNamespace(time=lambda: started + sum(slept))
    monkeypatch.setattr("lambdas.adapter_seeder.iam_propagation.time", clock)
    s3.status = 403
    with pytest.raises(SourceError, match="S3 answers 403 to s3:GetObject"):
        handle(event(templates, started), CONTEXT)
    assert sum(slept) == PROPAGATION_SECONDS
