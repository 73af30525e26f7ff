"""Answers of AWS that the laptop cloud cannot give, validated by botocore's service models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.stub import Stubber

from loraserve.aws import Client


@contextmanager
def answering(service: str, *answers: tuple[str, dict[str, Any] | str]) -> Iterator[Client]:
    """Yield a client factory of one service with these answers, in order: an operation and its response.

    A string in place of the response is an error's code, or `code: message`.
    """
    client = boto3.Session("test", "test", region_name="us-east-1").client(service)
    with Stubber(client) as stub:
        for operation, answer in answers:
            if isinstance(answer, str):
                code, _, message = answer.partition(": ")
                stub.add_client_error(operation, code, message)
            else:
                stub.add_response(operation, answer)

        def factory(name: str) -> Any:
            assert name == service
            return client

        yield factory
        stub.assert_no_pending_responses()
