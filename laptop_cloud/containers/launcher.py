"""Factory of instances: command, directory, environment and limits from a variant and its model."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import Params
from laptop_cloud.containers.credentials import RoleRefused, RoleSessions
from laptop_cloud.containers.embedded_metrics import EmbeddedMetrics
from laptop_cloud.containers.images import UnknownImage, command_of
from laptop_cloud.containers.instance import Instance, InstanceFailed, ModelData, StartLimits
from laptop_cloud.containers.logs import SETTINGS, ContainerLog
from laptop_cloud.containers.model_data import source_uri
from laptop_cloud.containers.runtime import ProcessRuntime

#: Makes an instance, not started, from the endpoint's name, a variant and its model.
InstanceFactory = Callable[[str, Params, Params], Instance]

#: SageMaker's default for a variant without a limit: eight minutes.
_DEFAULT_HEALTH_LIMIT_S = 480.0
#: The API documents no default; this is its upper bound.
_DEFAULT_DOWNLOAD_LIMIT_S = 3600.0


def primary_container(model: Params) -> Params:
    """Return the one container of a model."""
    container: Params = model["PrimaryContainer"] if "PrimaryContainer" in model else model["Containers"][0]
    return container


class Launcher:
    """A factory of instances. Their files are under one directory; their AWS endpoint is one URL."""

    def __init__(
        self,
        *,
        directory: Path,
        endpoint_url: str,
        images: Mapping[str, Sequence[str]],
        session: aiohttp.ClientSession,
        roles: RoleSessions,
    ) -> None:
        """`images` maps names of additional images to commands; `session` is for health checks."""
        self._directory = directory
        self._endpoint_url = endpoint_url
        self._images = images
        self._session = session
        self._roles = roles

    def for_account(self, account: Account) -> InstanceFactory:
        """Return the factory of instances in `account`."""

        def make(endpoint: str, variant: Params, model: Params) -> Instance:
            container = primary_container(model)
            if "ExecutionRoleArn" not in model:
                raise InstanceFailed(f"model {model['ModelName']} has no ExecutionRoleArn to act with")
            role: str = model["ExecutionRoleArn"]
            try:
                command = command_of(container["Image"], self._images)
                credentials = self._roles.container_variables(role, account)
            except (UnknownImage, RoleRefused) as error:
                raise InstanceFailed(str(error)) from error
            log = self._new_log(endpoint, variant["VariantName"])
            return Instance(
                variant=variant["VariantName"],
                runtime=ProcessRuntime(
                    command=command,
                    environment=container.get("Environment", {}),
                    account=account,
                    endpoint_url=self._endpoint_url,
                    credentials=credentials,
                ),
                model_data=ModelData(
                    uri=source_uri(container), make_s3=lambda: self._roles.client(role, "s3", account)
                ),
                limits=StartLimits(
                    download_s=variant.get("ModelDataDownloadTimeoutInSeconds", _DEFAULT_DOWNLOAD_LIMIT_S),
                    health_s=variant.get(
                        "ContainerStartupHealthCheckTimeoutInSeconds", _DEFAULT_HEALTH_LIMIT_S
                    ),
                ),
                directory=log.with_suffix(""),
                log=log,
                cloud_log=self._cloud_log(log, endpoint, variant["VariantName"], role, account),
                session=self._session,
            )

        return make

    def _cloud_log(self, log: Path, endpoint: str, variant: str, role: str, account: Account) -> ContainerLog:
        # The format of EC2's instance ids.
        instance_id = f"i-{secrets.token_hex(9)[:17]}"
        return ContainerLog(
            log,
            f"/aws/sagemaker/Endpoints/{endpoint}",
            f"{variant}/{instance_id}",
            lambda: self._roles.client(role, "logs", account, SETTINGS),
            EmbeddedMetrics(account),
        )

    def _new_log(self, endpoint: str, variant: str) -> Path:
        """Create the log file of the next instance. Logs outlive instances, as CloudWatch's do."""
        directory = self._directory / endpoint
        directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            log = directory / f"{variant}-{number}.log"
            if not log.exists():
                log.touch()
                return log
        raise AssertionError
