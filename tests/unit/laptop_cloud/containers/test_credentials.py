"""Credentials of a role at the address that SageMaker's containers know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import Message
from laptop_cloud.containers.credentials import CredentialsEndpoint, RoleSessions
from laptop_cloud.ministack import iam

ROLE = "arn:aws:iam::000000000000:role/execution"
ACCOUNT = Account("000000000000", "us-east-1")
VARIABLE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"


async def answer(endpoint: CredentialsEndpoint, path: str) -> tuple[int, Any]:
    """Send a GET request; return status and JSON body."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await endpoint({"type": "http", "path": path, "method": "GET", "headers": []}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def other(_scope: Message, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b'"the emulator"'})


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> RoleSessions:
    monkeypatch.setattr(iam, "new_session", lambda role, account, expiry: ("ASIA1", role, str(account.id)))
    return RoleSessions("http://127.0.0.1:1", enforce_iam=False)


async def test_the_path_is_ecs_and_holds_the_containers_token(sessions: RoleSessions) -> None:
    given = sessions.sandbox_variables(ROLE, ACCOUNT)
    assert set(given) == {VARIABLE}
    assert given[VARIABLE].startswith("/v2/credentials/")
    assert len(given[VARIABLE]) > 40
    endpoint = CredentialsEndpoint(other, sessions)
    status, credentials = await answer(endpoint, given[VARIABLE])
    assert status == 200
    assert set(credentials) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert credentials["SecretAccessKey"] == ROLE


async def test_another_token_is_refused(sessions: RoleSessions) -> None:
    given = sessions.sandbox_variables(ROLE, ACCOUNT)
    endpoint = CredentialsEndpoint(other, sessions)
    for path in ("/v2/credentials/", "/v2/credentials/x", given[VARIABLE][:-1]):
        assert (await answer(endpoint, path))[0] == 401


async def test_other_paths_are_the_emulators(sessions: RoleSessions) -> None:
    endpoint = CredentialsEndpoint(other, sessions)
    for path in ("/", "/v2/credentials", "/v2/apis", "/bucket/v2/credentials/x"):
        assert await answer(endpoint, path) == (299, "the emulator")
