"""Turns a variant and its model into an instance: its command, its directory, its limits."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from laptop_cloud.api.account import Place
from laptop_cloud.api.service import Params
from laptop_cloud.containers.credentials import RoleRefused, RoleSessions
from laptop_cloud.containers.images import UnknownImage, command_of
from laptop_cloud.containers.instance import Instance, InstanceFailed
from laptop_cloud.containers.logs import SETTINGS, ContainerLog
from laptop_cloud.containers.model_data import source_uri
from laptop_cloud.sagemaker.endpoint import MakeInstance, primary_container

#: SageMaker's default for a variant that sets no limit: eight minutes.
_DEFAULT_HEALTH_LIMIT_S = 480.0
#: The API documents no default; this is its upper bound.
_DEFAULT_DOWNLOAD_LIMIT_S = 3600.0


class Launcher:
    """Makes instances whose files lie under one directory and whose AWS is one URL."""

    def __init__(
        self,
        *,
        directory: Path,
        endpoint_url: str,
        images: Mapping[str, Sequence[str]],
        session: aiohttp.ClientSession,
        roles: RoleSessions,
    ) -> None:
        """`images` maps further image names to commands; `session` is for health checks."""
        self._directory = directory
        self._endpoint_url = endpoint_url
        self._images = images
        self._session = session
        self._roles = roles

    def at(self, place: Place) -> MakeInstance:
        """What makes instances in `place`."""

        def make(endpoint: str, variant: Params, model: Params) -> Instance:
            container = primary_container(model)
            if "ExecutionRoleArn" not in model:
                raise InstanceFailed(f"model {model['ModelName']} has no ExecutionRoleArn to act with")
            role: str = model["ExecutionRoleArn"]
            try:
                command = command_of(container["Image"], self._images)
                credentials = self._roles.variables(role, place)
            except (UnknownImage, RoleRefused) as error:
                raise InstanceFailed(str(error)) from error
            log = self._new_log(endpoint, variant["VariantName"])
            return Instance(
                variant=variant["VariantName"],
                command=command,
                environment=container.get("Environment", {}),
                model_data=source_uri(container),
                directory=log.with_suffix(""),
                log=log,
                cloud_log=self._cloud_log(log, endpoint, variant["VariantName"], role, place),
                credentials=credentials,
                make_s3=lambda: self._roles.client(role, "s3", place),
                place=place,
                endpoint_url=self._endpoint_url,
                session=self._session,
                download_limit_s=variant.get("ModelDataDownloadTimeoutInSeconds", _DEFAULT_DOWNLOAD_LIMIT_S),
                health_limit_s=variant.get(
                    "ContainerStartupHealthCheckTimeoutInSeconds", _DEFAULT_HEALTH_LIMIT_S
                ),
            )

        return make

    def _cloud_log(self, log: Path, endpoint: str, variant: str, role: str, place: Place) -> ContainerLog:
        # As EC2 makes them.
        instance_id = f"i-{secrets.token_hex(9)[:17]}"
        return ContainerLog(
            log,
            f"/aws/sagemaker/Endpoints/{endpoint}",
            f"{variant}/{instance_id}",
            lambda: self._roles.client(role, "logs", place, SETTINGS),
        )

    def _new_log(self, endpoint: str, variant: str) -> Path:
        """The log of the next instance: logs outlive instances, as CloudWatch's do."""
        directory = self._directory / endpoint
        directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            log = directory / f"{variant}-{number}.log"
            if not log.exists():
                log.touch()
                return log
        raise AssertionError
