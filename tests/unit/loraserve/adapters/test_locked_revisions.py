"""Denied requests for the giving store: S3 also denies what is missing, because nothing may be listed."""

import io
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from adapters.store.layout import RegistryEntry
from loraserve.adapters.locked_revisions import check_locked_adapters
from loraserve.finding import State
from stacks.facts import PackedAdapterFacts

DIGEST = "0123456789abcdef" * 4
LOCKED = PackedAdapterFacts(
    names=("otter",),
    source="s3://giving/adapters/otter/0123456789abcdef/",
    sha256=None,
    digest=DIGEST,
    labels={},
)
ENTRY = RegistryEntry("otter", DIGEST[:16], DIGEST, 8, 10, "acme/base", "./x", sha256="0" * 64)


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def found(s3: Any, adapters: list[PackedAdapterFacts]) -> list[tuple[State, str, str]]:
    checked = check_locked_adapters(s3, adapters, giving="staging", giving_bucket="giving", own_bucket=None)
    return [(one.state, one.found, one.remedy) for one in checked]


def test_a_denied_registry_entry_names_both_causes(s3: Any) -> None:
    with Stubber(s3) as answers:
        answers.add_client_error("get_object", "AccessDenied", http_status_code=403)
        [(state, what, remedy)] = found(s3, [LOCKED])
    assert state is State.PROBLEM
    assert what == "otter: S3 answers AccessDenied to its registry entry in giving"
    assert "stage 'staging' serves it" in remedy
    assert "store_readers has this account" in remedy


def test_denied_files_name_the_key_that_is_needed(s3: Any) -> None:
    body = ENTRY.to_json()
    with Stubber(s3) as answers:
        answers.add_response(
            "get_object", {"Body": StreamingBody(io.BytesIO(body), len(body)), "ETag": '"1"'}
        )
        # What S3 answers if KMS denies kms:Decrypt.
        answers.add_client_error("get_object", "AccessDenied", http_status_code=403)
        [(state, what, remedy)] = found(s3, [LOCKED])
    assert (state, what) == (State.PROBLEM, "otter: S3 answers AccessDenied to its files in giving")
    assert "decrypt_keys of this stage has the key" in remedy


def test_adapters_that_are_not_locked_are_not_asked_for(s3: Any) -> None:
    hub = LOCKED.model_copy(update={"source": "hf://acme/otter@" + "0" * 40})
    with Stubber(s3):
        assert found(s3, [hub]) == []
        assert found(s3, []) == []
