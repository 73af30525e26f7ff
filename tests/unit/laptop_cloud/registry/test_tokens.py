"""Authorization tokens of ECR."""

from __future__ import annotations

import base64

import pytest

from laptop_cloud.api.account import Account
from laptop_cloud.registry import tokens
from laptop_cloud.registry.tokens import AuthorizationTokens, Principal

ONE = Principal("ASIAONE", Account("111122223333", "eu-west-1"))
OTHER = Principal("ASIAOTHER", Account("111122223333", "eu-west-1"))


def test_a_token_is_of_the_principal_who_requested_it() -> None:
    given = AuthorizationTokens()
    first, second = given.new(ONE), given.new(OTHER)
    assert (given.caller(f"Basic {first}"), given.caller(f"basic {second}")) == (ONE, OTHER)


def test_a_token_ends_after_twelve_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    given = AuthorizationTokens()
    token = given.new(ONE)
    now = tokens.time.monotonic()
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + 12 * 3600 - 60)
    assert given.caller(f"Basic {token}") == ONE
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + 12 * 3600 + 60)
    assert given.caller(f"Basic {token}") is None


def test_only_a_given_token_counts_and_only_for_the_user_aws() -> None:
    given = AuthorizationTokens()
    password = base64.b64decode(given.new(ONE)).decode().partition(":")[2]
    other_user = base64.b64encode(f"root:{password}".encode()).decode()
    cut = base64.b64encode(f"AWS:{password[:-1]}".encode()).decode()
    for authorization in (
        "",
        "Basic",
        "Basic %",
        f"Basic {other_user}",
        f"Basic {cut}",
        f"Bearer {password}",
    ):
        assert given.caller(authorization) is None
