"""`LaptopCloud`: AWS on this machine for as long as a `with` block lasts; `Cloud`: how to reach it."""

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
import botocore.session
from botocore.config import Config

from laptop_cloud import process
from laptop_cloud.api.account import DEFAULT_ACCOUNT, DEFAULT_REGION
from laptop_cloud.aws_isolation import clean_environment

#: Seconds for the server to stop: its endpoints have thirty of them.
_STOP_LIMIT_S = 45.0


class Cloud:
    """A laptop cloud that is running."""

    def __init__(self, port: int, state: Path) -> None:
        """`state` is the directory that its server writes to."""
        self.port = port
        self.state = state

    @property
    def url(self) -> str:
        """The one URL of every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, made safe for a child that is to use this cloud: pass it as a whole."""
        return clean_environment(os.environ, self.url)

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client of `service` here, whatever this process's own AWS settings are."""
        settings = Config(s3={"addressing_style": "path"}, proxies={}).merge(config or Config())
        return _isolated_session().client(service, endpoint_url=self.url, config=settings)


class LaptopCloud(Cloud):
    """A laptop cloud of one's own: `with LaptopCloud() as cloud: cloud.client("s3")`.

    It ends with the block, and with this process, however that ends.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        port: int | None = None,
        images: Mapping[str, Sequence[str]] | None = None,
        enforce_iam: bool = False,
    ) -> None:
        """Nothing is started yet.

        Args:
            state: the directory for all that is written; without one, a temporary one that goes with it.
            port: the port of 127.0.0.1; a free one by default.
            images: further image names (`localhost/<room>`) and the commands that they stand for.
            enforce_iam: whether a request needs its principal's IAM policies to allow it. The account's
                root, which `client` and `environment` act as, may do everything.
        """
        self._temporary = state is None
        super().__init__(port or 0, state or Path(tempfile.mkdtemp(prefix="laptop-cloud-")))
        self._images = images or {}
        self._enforce_iam = enforce_iam
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            PortTaken: something else listens on the port.
            CloudFailed: the server did not come up.
        """
        self.port = process.free_port(self.port)
        self._process = process.start(
            self.port, self.state, self._images, owned=True, enforce_iam=self._enforce_iam
        )
        try:
            process.wait_ready(self._process, self.port, process.log_of(self.state))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """End the server and all that it started: by SIGTERM, and by SIGKILL what does not heed it."""
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


def _isolated_session() -> boto3.Session:
    """A session that reads neither this process's AWS variables nor anyone's AWS files."""
    unread = (None, None, None, None)
    nowhere = (None, None, os.devnull, None)
    session = botocore.session.Session(
        session_vars={"profile": unread, "config_file": nowhere, "credentials_file": nowhere}
    )
    session.set_config_variable("region", DEFAULT_REGION)
    session.set_credentials(DEFAULT_ACCOUNT, "local")
    return boto3.Session(botocore_session=session)
