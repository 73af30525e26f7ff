"""Handles of the laptop cloud: `Cloud` for a running one, `LaptopCloud` for one that a `with` block runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from laptop_cloud import process
from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION
from laptop_cloud.aws_isolation import clean_environment, client_config
from laptop_cloud.invocations.router import QUOTA_PATH, ROLLBACKS_PATH
from laptop_cloud.options import ServerOptions
from laptop_cloud.ports import free_port
from laptop_cloud.sdk_sessions import new_session

#: Seconds for the server to stop: its containers have 30 of them between SIGTERM and SIGKILL.
_STOP_LIMIT_S = 45.0


class Cloud:
    """A running laptop cloud."""

    def __init__(self, port: int, state: Path) -> None:
        """`state` is the directory with the files of its server."""
        self.port = port
        self.state = state

    @property
    def url(self) -> str:
        """The URL of every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a child process that uses this cloud: this process's, without AWS settings."""
        return self.environment_of(DEFAULT_ACCOUNT)

    def environment_of(self, account: str) -> dict[str, str]:
        """Return the same with the credentials of another account's root."""
        return clean_environment(os.environ, self.url, account)

    def client(self, service: str, config: Config | None = None, *, account: str = DEFAULT_ACCOUNT) -> Any:
        """Return a boto3 client of `service` that ignores the AWS settings of this process.

        It has the credentials of the account's root.
        """
        session = _isolated_session(account)
        return session.client(service, endpoint_url=self.url, config=client_config(config))

    def grant_quota(
        self, name: str, value: float, *, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION
    ) -> None:
        """Set an account's quota, e.g. of `ml.g5.xlarge for endpoint usage`, as AWS's support does.

        Raises `urllib.error.HTTPError` for an unknown name.
        """
        given = {"name": name, "value": value, "account": account, "region": region}
        process.post(self.port, QUOTA_PATH, given)

    def hide_rollbacks(
        self,
        hidden: bool = True,
        *,
        keeps_config: bool = False,
        account: str = DEFAULT_ACCOUNT,
        region: str = DEFAULT_REGION,
    ) -> None:
        """Have CloudFormation report updates complete that SageMaker rolls back, without a reason.

        Its clean-up then deletes the config that still serves, unless it `keeps_config`.
        """
        chosen = {"hidden": hidden, "keeps_config": keeps_config, "account": account, "region": region}
        process.post(self.port, ROLLBACKS_PATH, chosen)


class LaptopCloud(Cloud):
    """A laptop cloud that a `with` block runs: `with LaptopCloud() as cloud: cloud.client("s3")`.

    It stops at the end of the block, and with this process, even if that is killed.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        port: int | None = None,
        images: Mapping[str, Sequence[str]] | None = None,
        enforce_iam: bool = False,
        pull_images: bool = False,
        mounts: Mapping[str, Path] | None = None,
        scaling_speed: float = 1.0,
    ) -> None:
        """Set up the cloud; entering the block starts it.

        Args:
            state: the directory for every file; by default a temporary one, deleted with the cloud.
            port: the port of 127.0.0.1; a free one by default.
            images: names of additional images (`localhost/<name>`), and the command of each.
            enforce_iam: refuse requests that the caller's IAM policies do not allow. The credentials of
                `client` and `environment` are the account's root, which may do everything.
            pull_images: pull the images of ECR and run them.
            mounts: read-only mounts of every container that runs from an image of ECR: path in the container,
                path of this machine.
            scaling_speed: speed of Application Auto Scaling's clock, above 0.
        """
        self._temporary = state is None
        super().__init__(port or 0, state or Path(tempfile.mkdtemp(prefix="laptop-cloud-")))
        self._options = ServerOptions(
            images=images or {},
            enforce_iam=enforce_iam,
            pull_images=pull_images,
            mounts=mounts or {},
            scaling_speed=scaling_speed,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            PortTaken: another process listens on the port.
            CloudFailed: the server did not start.
        """
        self.port = free_port(self.port)
        self._process = process.start(self.port, self.state, self._options, owned=True)
        try:
            process.wait_ready(self._process, self.port, process.log_of(self.state))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def stop(self) -> None:
        """Stop the server and every process that it started: SIGTERM, then SIGKILL."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_LIMIT_S)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait()
            self._process = None
        if self._temporary:
            shutil.rmtree(self.state, ignore_errors=True)


def _isolated_session(account: str) -> boto3.Session:
    """Return a session that reads no AWS variables of this process and no AWS configuration files."""
    unread = (None, None, None, None)
    nowhere = (None, None, os.devnull, None)
    session = new_session(
        session_vars={"profile": unread, "config_file": nowhere, "credentials_file": nowhere}
    )
    session.set_config_variable("region", DEFAULT_REGION)
    session.set_credentials(account, "local")
    return boto3.Session(botocore_session=session)
