"""The end of the session, for credentials of the environment and others."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from loraserve.finding import State
from loraserve.promotion.checks.session import check_session, rollout_seconds


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the variables of credentials, and no others."""

    def set_variables(**found: str) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", **found}.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(
    ("minutes", "state", "text"),
    [
        (61, State.OK, "in 60 min; the rollout may take 30 min"),
        (20, State.WARNING, "goes on where this run ended"),
        (None, State.UNKNOWN, "set AWS_CREDENTIAL_EXPIRATION"),
    ],
)
def test_a_session_of_the_environment(
    variables: Callable[..., None], minutes: int | None, state: State, text: str
) -> None:
    now = datetime.now(UTC)
    found = {"AWS_SESSION_TOKEN": "token"}
    if minutes is not None:
        found["AWS_CREDENTIAL_EXPIRATION"] = (now + timedelta(minutes=minutes, seconds=-30)).isoformat()
    variables(**found)
    client = boto3.Session(region_name="us-east-1").client
    [finding] = check_session(client, 1800, now)
    assert finding.state is state and text in f"{finding.found} {finding.remedy}"


def test_a_key_without_a_session_does_not_end(variables: Callable[..., None]) -> None:
    variables()
    [finding] = check_session(boto3.Session(region_name="us-east-1").client, 28_800, datetime.now(UTC))
    assert finding.state is State.OK


@pytest.mark.parametrize("policy", ["RollingUpdatePolicy", "BlueGreenUpdatePolicy"])
def test_the_time_limit_of_a_rollout(policy: str) -> None:
    config = {policy: {"MaximumExecutionTimeoutInSeconds": 3600}}
    endpoint = {"Type": "AWS::SageMaker::Endpoint", "Properties": {"DeploymentConfig": config}}
    assert rollout_seconds({"Resources": {"Endpoint": endpoint}}) == 3600
    assert rollout_seconds({"Resources": {}}) == 0
