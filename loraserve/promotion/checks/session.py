"""The session of the credentials, against the time that the rollout may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from loraserve.aws import Client
from loraserve.finding import Finding, ok, unknown, warning

_CHECK = "session"


def check_session(client: Client, rollout_seconds: int, now: datetime) -> Iterator[Finding]:
    """Compare the end of credentials in environment variables with the longest rollout.

    botocore renews all other temporary credentials, of a profile, an instance or a container. It takes the
    end of those in the environment from AWS_CREDENTIAL_EXPIRATION (botocore's `EnvProvider`). After the end
    AWS refuses the run's requests; what CloudFormation does by then, it completes.
    """
    # boto3 has no public way to the credentials of a client.
    credentials = client("sts")._request_signer._credentials
    if credentials is None or credentials.method != "env" or credentials.token is None:
        yield ok(_CHECK, "it lasts: the credentials do not expire, or are renewed")
        return
    expires: datetime | None = getattr(credentials, "_expiry_time", None)
    needed = f"the rollout may take {_minutes(rollout_seconds)}"
    if expires is None:
        yield unknown(
            _CHECK,
            f"the end of these temporary credentials is not known; {needed}",
            "set AWS_CREDENTIAL_EXPIRATION beside the other variables of the credentials",
        )
        return
    left = int((expires - now).total_seconds())
    found = f"it ends at {expires.astimezone(UTC):%H:%M} UTC, in {_minutes(left)}; {needed}"
    if timedelta(seconds=rollout_seconds) > expires - now:
        yield warning(
            _CHECK,
            found,
            "sign in for longer (the role's maximum session duration). If the session ends during the "
            "rollout, run the same command again: it goes on where this run ended",
        )
    else:
        yield ok(_CHECK, found)


def rollout_seconds(serving: Mapping[str, Any]) -> int:
    """Return the time limit of an update, from the template of the serving stack."""
    for resource in serving.get("Resources", {}).values():
        if resource["Type"] == "AWS::SageMaker::Endpoint":
            config = resource["Properties"].get("DeploymentConfig", {})
            for policy in ("RollingUpdatePolicy", "BlueGreenUpdatePolicy"):
                limit = config.get(policy, {}).get("MaximumExecutionTimeoutInSeconds")
                if limit is not None:
                    return int(limit)
    return 0


def _minutes(seconds: int) -> str:
    return f"{max(seconds, 0) // 60} min"
