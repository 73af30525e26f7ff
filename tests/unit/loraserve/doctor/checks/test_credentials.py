"""Answers of STS to credentials that cannot be used."""

from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound, TokenRetrievalError

from loraserve.doctor.checks.credentials import check
from loraserve.finding import State
from stacks.config.stage_config import LoadedStage
from tests.unit.loraserve.doctor.aws_answers import answering


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("ExpiredToken", "have expired"),
        ("InvalidClientTokenId", "not known in us-east-1"),
        ("SignatureDoesNotMatch", "secret key does not match"),
        ("AccessDenied: with an explicit deny", "AccessDenied: with an explicit deny"),
    ],
)
def test_a_refusal_of_sts(dev: LoadedStage, code: str, found: str) -> None:
    with answering("sts", ("get_caller_identity", code)) as client:
        [line] = check(dev.target, client)
    assert line.state is State.PROBLEM and found in line.found and line.remedy


@pytest.mark.parametrize(
    "error",
    [
        NoCredentialsError(),
        ProfileNotFound(profile="other"),
        TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    ],
)
def test_credentials_that_are_not_there(dev: LoadedStage, error: Exception) -> None:
    def client(service: str) -> Any:
        raise error

    [line] = check(dev.target, client)
    assert line.state is State.PROBLEM and "aws sso login" in line.remedy
