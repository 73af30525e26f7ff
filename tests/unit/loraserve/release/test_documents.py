"""Conditional writes against S3's documented answers that the laptop cloud does not give."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from loraserve.release import documents as module
from loraserve.release.documents import ABSENT, Documents
from loraserve.release.ledger import Ledger, LedgerError

META = {"HTTPHeaders": {"date": "Fri, 27 Nov 2026 20:07:39 GMT"}}
#: S3 User Guide, "Conditional writes": another write of the key was in progress.
IN_PROGRESS = {"service_error_code": "ConditionalRequestConflict", "http_status_code": 409}
LOST = {"service_error_code": "PreconditionFailed", "http_status_code": 412}
MISSING = {"service_error_code": "NoSuchKey", "http_status_code": 404, "response_meta": META}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN", 0)
    client = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def stored(body: bytes, etag: str) -> dict[str, Any]:
    return {
        "Body": StreamingBody(io.BytesIO(body), len(body)), "ETag": etag,
        "LastModified": datetime(2026, 11, 27, 20, 7, tzinfo=UTC), "ResponseMetadata": META,
    }  # fmt: skip


def test_a_write_that_met_another_one_is_tried_again(stub: Stubber) -> None:
    stub.add_client_error("put_object", **IN_PROGRESS)
    stub.add_client_error("get_object", **MISSING)
    stub.add_response("put_object", {"ETag": '"1"', "ResponseMetadata": META})
    written = Documents(stub.client, "bucket").put("key", b"mine", ABSENT)
    assert (written.body, written.etag) == (b"mine", '"1"')
    assert written.answered == datetime(2026, 11, 27, 20, 7, 39, tzinfo=UTC)


def test_a_write_that_came_second_returns_the_first_ones(stub: Stubber) -> None:
    stub.add_client_error("put_object", **IN_PROGRESS)
    stub.add_response("get_object", stored(b"theirs", '"2"'))
    assert Documents(stub.client, "bucket").put("key", b"mine", ABSENT).body == b"theirs"


def test_a_repeated_write_whose_first_answer_was_lost_is_done(stub: Stubber) -> None:
    stub.add_client_error("put_object", **LOST)
    stub.add_response("get_object", stored(b"mine", '"2"'))
    assert Documents(stub.client, "bucket").put("key", b"mine", ABSENT).body == b"mine"


def test_conflicts_without_an_end_are_not_taken_for_a_write(stub: Stubber) -> None:
    for _ in range(module._TRIES):
        stub.add_client_error("put_object", **IN_PROGRESS)
        stub.add_client_error("get_object", **MISSING)
    assert Documents(stub.client, "bucket").put("key", b"mine", ABSENT).body is None


def test_a_ledger_that_may_not_be_read_names_what_is_missing(stub: Stubber) -> None:
    stub.add_client_error("get_object", service_error_code="AccessDenied", http_status_code=403)
    with pytest.raises(LedgerError) as refused:
        Ledger(stub.client, "bucket", "staging").current()
    message = str(refused.value)
    assert "as it also does for an object that does not exist" in message
    assert "store_readers of stages/staging.yaml" in message
