"""Credentials of the roles that SageMaker acts with: a model's execution role, for platform and container.

A container gets no keys in its environment, but an address to fetch them from, as on SageMaker: they last
an hour, and every AWS SDK renews them by itself.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialResolver, RefreshableCredentials

from laptop_cloud.api.account import Place
from laptop_cloud.api.asgi import App, Message, Receive, Send, header, respond
from laptop_cloud.ministack import iam as emulated_iam

#: How long credentials last: STS's default. SDKs renew them fifteen minutes before.
LIFETIME: Final = timedelta(hours=1)
#: Where containers fetch their role's credentials.
PATH: Final = "/_laptop-cloud/credentials"
SERVICE: Final = "sagemaker.amazonaws.com"


class RoleRefused(Exception):
    """A role that SageMaker may not assume, and what to change."""

    def __init__(self, role_arn: str) -> None:
        """`role_arn` is the role."""
        super().__init__(
            f"SageMaker could not assume the role {role_arn}: make it exist, with a trust policy that allows "
            f"sts:AssumeRole to the service {SERVICE} for this account"
        )


class RoleSessions:
    """Sessions of roles, each made by SageMaker. Safe across threads."""

    def __init__(self, endpoint_url: str, *, enforce_iam: bool) -> None:
        """With `enforce_iam`, a role must exist and its trust policy must allow the session."""
        self._endpoint_url = endpoint_url
        self._enforce_iam = enforce_iam
        self._holders: dict[str, tuple[str, Place]] = {}

    def client(self, role_arn: str, service: str, place: Place, config: Config | None = None) -> Any:
        """A boto3 client of `service` in `place` that acts as the role, and renews its credentials.

        Blocks for as long as botocore takes to read the service's model: call it on a thread.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        session = botocore.session.Session()
        session.register_component(
            "credential_provider", CredentialResolver([_Provider(self, role_arn, place)])
        )
        settings = Config(s3={"addressing_style": "path"}, proxies={}).merge(config or Config())
        return boto3.Session(botocore_session=session, region_name=place.region).client(
            service, endpoint_url=self._endpoint_url, config=settings
        )

    def variables(self, role_arn: str, place: Place) -> dict[str, str]:
        """The environment variables by which a container's SDK finds the role's credentials.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        self._check(role_arn, place)
        token = secrets.token_urlsafe(32)
        self._holders[token] = (role_arn, place)
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._endpoint_url}{PATH}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        }

    def held(self, token: str) -> dict[str, str] | None:
        """New credentials for the container that `token` was given to, in the container provider's format.

        None for an unknown token.

        Raises:
            RoleRefused: SageMaker may no longer assume the role.
        """
        if token not in self._holders:
            return None
        made = self.new(*self._holders[token])
        names = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "token": "Token"}
        return {names.get(key, "Expiration"): value for key, value in made.items()}

    def new(self, role_arn: str, place: Place) -> dict[str, str]:
        """New credentials of the role, as botocore's refreshable credentials want them.

        Raises:
            RoleRefused: SageMaker may not assume the role.
        """
        self._check(role_arn, place)
        expiry = datetime.now(UTC) + LIFETIME
        key, secret, token = emulated_iam.new_session(role_arn, place, expiry)
        return {"access_key": key, "secret_key": secret, "token": token, "expiry_time": expiry.isoformat()}

    def _check(self, role_arn: str, place: Place) -> None:
        if self._enforce_iam and not emulated_iam.trusts(role_arn, SERVICE, place):
            raise RoleRefused(role_arn)


class _Provider:
    """botocore's way to ask for credentials."""

    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, sessions: RoleSessions, role_arn: str, place: Place) -> None:
        self._sessions, self._role_arn, self._place = sessions, role_arn, place

    def load(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(
            self._new(), refresh_using=self._new, method=self.METHOD
        )

    def _new(self) -> dict[str, str]:
        return self._sessions.new(self._role_arn, self._place)


class CredentialsEndpoint:
    """An ASGI app before another one: answers containers that ask for their role's credentials."""

    def __init__(self, app: App, sessions: RoleSessions) -> None:
        """`app` gets every other request."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on untouched."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        try:
            found = self._sessions.held((header(scope["headers"], b"authorization") or b"").decode("latin-1"))
        except RoleRefused as error:
            status, content = 403, {"code": "AccessDenied", "message": str(error)}
        else:
            status, content = (
                (200, found) if found else (401, {"code": "Unauthorized", "message": "unknown token"})
            )
        await respond(send, status, [(b"content-type", b"application/json")], json.dumps(content).encode())
