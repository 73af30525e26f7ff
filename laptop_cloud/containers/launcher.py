"""Factory of instances: image, directory, environment and limits from a variant and its model."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from laptop_cloud.api.account import Account
from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params
from laptop_cloud.containers.credentials import RoleRefused, RoleSessions
from laptop_cloud.containers.embedded_metrics import EmbeddedMetrics
from laptop_cloud.containers.image_store import ImageStore, ImageUnavailable, ResolvedImage
from laptop_cloud.containers.images import UnknownImage, command_of
from laptop_cloud.containers.instance import Instance, InstanceFailed, ModelData, StartLimits
from laptop_cloud.containers.logs import SETTINGS, ContainerLog
from laptop_cloud.containers.model_data import source_uri
from laptop_cloud.containers.runtime import ContainerRuntime, ProcessRuntime, SandboxRuntime
from laptop_cloud.containers.sandbox.errors import SandboxRefused
from laptop_cloud.containers.sandbox.image_config import ImageConfig
from laptop_cloud.registry.model_image import ecr_image, process_of

#: SageMaker's default for a variant without a limit: eight minutes.
_DEFAULT_HEALTH_LIMIT_S = 480.0
#: The API documents no default; this is its upper bound.
_DEFAULT_DOWNLOAD_LIMIT_S = 3600.0


def primary_container(model: Params) -> Params:
    """Return the one container of a model."""
    container: Params = model["PrimaryContainer"] if "PrimaryContainer" in model else model["Containers"][0]
    return container


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Settings that the instances of all endpoints share."""

    directory: Path
    """For the instances' files and logs."""
    endpoint_url: str
    """The URL of AWS for the containers."""
    images: Mapping[str, Sequence[str]]
    """Names of additional images, and the command of each."""
    session: aiohttp.ClientSession
    """The HTTP client for health checks."""
    roles: RoleSessions
    store: ImageStore
    """The images of ECR."""
    pull_images: bool = False
    """Pull and run them; those that stand for a process of this machine run as this process without it."""
    mounts: Mapping[str, Path] = field(default_factory=dict)
    """Read-only mounts of the containers that run from an image of ECR."""

    def for_account(self, account: Account) -> FleetLauncherFactory:
        """Return the factory of the fleets' launchers in `account`."""
        return lambda endpoint, variant, model: FleetLauncher(self, account, endpoint, variant, model)


class FleetLauncher:
    """A factory of the instances of one fleet."""

    def __init__(
        self, shared: Launcher, account: Account, endpoint: str, variant: Params, model: Params
    ) -> None:
        """Take the endpoint's name, its variant and the variant's model."""
        self._shared = shared
        self._account = account
        self._endpoint = endpoint
        self._variant = variant
        self._model = model
        self._container = primary_container(model)

    async def resolve(self) -> ResolvedImage:
        """Return the image of every instance of the fleet.

        Raises:
            InstanceFailed: there is no such image, or the execution role may not read it.
        """
        uri: str = self._container["Image"]
        with _failures():
            if ecr_image(uri) is not None:
                self._check_runs(uri, process_of(uri))
                return await asyncio.to_thread(self._shared.store.resolve, uri, self._role(), self._account)
            command_of(uri, self._shared.images)
            return ResolvedImage(uri, uri, now())

    async def make(self, image: ResolvedImage) -> Instance:
        """Make an instance, not started. An image of ECR is pulled for it.

        Raises:
            InstanceFailed: the execution role may not pull the image, or SageMaker may not assume the role.
        """
        role = self._role()
        with _failures():
            if ecr_image(image.specified) is None:
                return self._instance(self._process(image.specified, role), role)
            process = process_of(image.resolved)
            if process is not None:
                await asyncio.to_thread(self._shared.store.authorize, image, role, self._account)
                return self._instance(self._process(process, role), role)
            return self._instance(await self._sandbox(image, role), role)

    def _process(self, image: str, role: str) -> ProcessRuntime:
        shared = self._shared
        return ProcessRuntime(
            command=command_of(image, shared.images),
            environment=self._container.get("Environment", {}),
            account=self._account,
            endpoint_url=shared.endpoint_url,
            credentials=shared.roles.container_variables(role, self._account),
        )

    async def _sandbox(self, image: ResolvedImage, role: str) -> SandboxRuntime:
        shared = self._shared
        pulled = await asyncio.to_thread(shared.store.pull, image, role, self._account)
        return SandboxRuntime(
            layers=pulled.layers,
            image=ImageConfig.of(pulled.document),
            environment=self._container.get("Environment", {}),
            endpoint_url=shared.endpoint_url,
            credentials=shared.roles.sandbox_variables(role, self._account),
            mounts=shared.mounts,
        )

    def _instance(self, runtime: ContainerRuntime, role: str) -> Instance:
        log = self._new_log()
        return Instance(
            variant=self._variant["VariantName"],
            runtime=runtime,
            model_data=ModelData(
                uri=source_uri(self._container),
                make_s3=lambda: self._shared.roles.client(role, "s3", self._account),
            ),
            limits=StartLimits(
                download_s=self._variant.get("ModelDataDownloadTimeoutInSeconds", _DEFAULT_DOWNLOAD_LIMIT_S),
                health_s=self._variant.get(
                    "ContainerStartupHealthCheckTimeoutInSeconds", _DEFAULT_HEALTH_LIMIT_S
                ),
            ),
            directory=log.with_suffix(""),
            log=log,
            cloud_log=self._cloud_log(log, role),
            session=self._shared.session,
        )

    def _role(self) -> str:
        if "ExecutionRoleArn" not in self._model:
            raise InstanceFailed(f"model {self._model['ModelName']} has no ExecutionRoleArn to act with")
        return str(self._model["ExecutionRoleArn"])

    def _check_runs(self, uri: str, process: str | None) -> None:
        """Raise `InstanceFailed` for an image of ECR that this laptop cloud does not run."""
        if process is not None:
            command_of(process, self._shared.images)
        elif not self._shared.pull_images:
            raise InstanceFailed(
                f"this laptop cloud does not run images of ECR, such as {uri}: start it "
                "with them (make up IMAGES=real, or --pull-images of python -m laptop_cloud)"
            )

    def _cloud_log(self, log: Path, role: str) -> ContainerLog:
        # The format of EC2's instance ids.
        instance_id = f"i-{secrets.token_hex(9)[:17]}"
        return ContainerLog(
            log,
            f"/aws/sagemaker/Endpoints/{self._endpoint}",
            f"{self._variant['VariantName']}/{instance_id}",
            lambda: self._shared.roles.client(role, "logs", self._account, SETTINGS),
            EmbeddedMetrics(self._account),
        )

    def _new_log(self) -> Path:
        """Create the log file of the next instance. Logs outlive instances, as CloudWatch's do."""
        directory = self._shared.directory / self._endpoint
        directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            log = directory / f"{self._variant['VariantName']}-{number}.log"
            if not log.exists():
                log.touch()
                return log
        raise AssertionError


#: Returns the launcher of a fleet, from the endpoint's name, a variant and its model.
FleetLauncherFactory = Callable[[str, Params, Params], FleetLauncher]


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Raise the errors of image and role as `InstanceFailed`."""
    try:
        yield
    except (ImageUnavailable, RoleRefused, SandboxRefused, UnknownImage) as error:
        raise InstanceFailed(str(error)) from error
