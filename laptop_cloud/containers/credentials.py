"""Credentials of a model's execution role, for the platform and for the container.

As on SageMaker, a container has a URL for credentials in its environment instead of keys. They last an hour,
and AWS SDKs renew them.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.credentials import CredentialResolver, RefreshableCredentials

from laptop_cloud.api.account import Account
from laptop_cloud.api.asgi import App, Message, Receive, Send, header, respond
from laptop_cloud.aws_isolation import client_config
from laptop_cloud.ministack import iam
from laptop_cloud.sdk_sessions import new_session

#: Lifetime of credentials, STS's default. SDKs renew them fifteen minutes before they expire.
LIFETIME: Final = timedelta(hours=1)
#: Path of the requests for credentials of a container with its token in the header `Authorization`.
PATH: Final = "/_laptop-cloud/credentials"
#: Path, before the token, of the requests of a container that reaches the address of SageMaker's credentials.
#: Seen in logs of SageMaker's containers: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/<UUID>.
#: No bucket has a name this short, so it is no request to S3; a request to ECR's registry has more segments.
RELATIVE_PATH: Final = "/v2/credentials/"
SERVICE: Final = "sagemaker.amazonaws.com"


class RoleRefused(Exception):
    """A role that SageMaker may not assume; the message says what to change."""

    def __init__(self, role_arn: str) -> None:
        """`role_arn` is the role's ARN."""
        super().__init__(
            f"SageMaker could not assume the role {role_arn}: make it exist, with a trust policy that allows "
            f"sts:AssumeRole to the service {SERVICE} for this account"
        )


class RoleSessions:
    """SageMaker's sessions of roles. Safe across threads."""

    def __init__(self, endpoint_url: str, *, enforce_iam: bool) -> None:
        """With `enforce_iam`, a role must exist and its trust policy must allow the session."""
        self._endpoint_url = endpoint_url
        self._enforce_iam = enforce_iam
        self._containers: dict[str, tuple[str, Account]] = {}

    def client(self, role_arn: str, service: str, account: Account, config: Config | None = None) -> Any:
        """Return a boto3 client of `service` in `account` with the role's credentials, which it renews.

        Blocks while botocore reads the service's model: call it on a thread.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        session = new_session()
        session.register_component(
            "credential_provider", CredentialResolver([_Provider(self, role_arn, account)])
        )
        return boto3.Session(botocore_session=session, region_name=account.region).client(
            service, endpoint_url=self._endpoint_url, config=client_config(config)
        )

    def container_variables(self, role_arn: str, account: Account) -> dict[str, str]:
        """Return the environment variables with which a process's SDK fetches the role's credentials.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._endpoint_url}{PATH}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._new_token(role_arn, account),
        }

    def sandbox_variables(self, role_arn: str, account: Account) -> dict[str, str]:
        """Return SageMaker's environment variable for the same in a sandbox, at 169.254.170.2.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        return {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": RELATIVE_PATH + self._new_token(role_arn, account)}

    def container_credentials(self, token: str) -> dict[str, str] | None:
        """Return new credentials for the container with this token, in the container provider's format.

        Returns None for an unknown token.

        Raises:
            RoleRefused: SageMaker may no longer assume the role.
        """
        if token not in self._containers:
            return None
        made = self.new_credentials(*self._containers[token])
        names = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "token": "Token"}
        return {names.get(key, "Expiration"): value for key, value in made.items()}

    def new_credentials(self, role_arn: str, account: Account) -> dict[str, str]:
        """Return new credentials of the role, in the format of botocore's refreshable credentials.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        self._check(role_arn, account)
        expiry = datetime.now(UTC) + LIFETIME
        key, secret, token = iam.new_session(role_arn, account, expiry)
        return {"access_key": key, "secret_key": secret, "token": token, "expiry_time": expiry.isoformat()}

    def _new_token(self, role_arn: str, account: Account) -> str:
        self._check(role_arn, account)
        token = secrets.token_urlsafe(32)
        self._containers[token] = (role_arn, account)
        return token

    def _check(self, role_arn: str, account: Account) -> None:
        if self._enforce_iam and not iam.trusts(role_arn, SERVICE, account):
            raise RoleRefused(role_arn)


class _Provider:
    """A credential provider of botocore."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, sessions: RoleSessions, role_arn: str, account: Account) -> None:
        self._sessions, self._role_arn, self._account = sessions, role_arn, account

    def load(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(
            self._new(), refresh_using=self._new, method=self.METHOD
        )

    def _new(self) -> dict[str, str]:
        return self._sessions.new_credentials(self._role_arn, self._account)


class CredentialsEndpoint:
    """ASGI middleware that answers the containers' requests for credentials."""

    def __init__(self, app: App, sessions: RoleSessions) -> None:
        """`app` gets every other request."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on unchanged."""
        token = _token(scope)
        if token is None:
            await self._app(scope, receive, send)
            return
        try:
            found = self._sessions.container_credentials(token)
        except RoleRefused as error:
            status, content = 403, {"code": "AccessDenied", "message": str(error)}
        else:
            status, content = (
                (200, found) if found else (401, {"code": "Unauthorized", "message": "unknown token"})
            )
        await respond(send, status, [(b"content-type", b"application/json")], json.dumps(content).encode())


def _token(scope: Message) -> str | None:
    """Return the token of a request for credentials; None for another request."""
    if scope["type"] != "http":
        return None
    path: str = scope["path"]
    if path.startswith(RELATIVE_PATH) and path.count("/") == RELATIVE_PATH.count("/"):
        return path.removeprefix(RELATIVE_PATH)
    if path == PATH:
        return (header(scope["headers"], b"authorization") or b"").decode("latin-1")
    return None
