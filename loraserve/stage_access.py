"""Access to the account of a stage, of the laptop cloud or in AWS: one way for both."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from loraserve.adapters.open_store import check_account
from loraserve.aws import Client, client_factory
from loraserve.errors import NotDeployed
from stacks.config.loading import LOCAL_STAGE, load_stages
from stacks.config.stage_target import StageTarget
from stacks.project import ROOT


@dataclass(frozen=True)
class StageAccess:
    """A stage, and clients with credentials of its account."""

    target: StageTarget
    client: Client
    """Each service's client is made once; threads may use it."""


def stage_access(stage: str, profile: str | None) -> StageAccess:
    """Open a stage of stages/; `local` is the one of the laptop cloud that `up` started.

    `profile` is that of the AWS CLI, for a stage in AWS. Raises `ConfigError`, `NotDeployed` and botocore's
    errors about credentials.
    """
    target = load_stages(ROOT / "stages", stage)[0].target
    if stage == LOCAL_STAGE:
        return StageAccess(target, _made_once(_laptop_client()))
    client = client_factory(target.region, profile)
    check_account(client, target, "--profile")
    return StageAccess(target, _made_once(client))


def _laptop_client() -> Client:
    # A set-up for deployments does not install what the laptop cloud needs.
    from loraserve import local_stage  # noqa: PLC0415

    cloud = local_stage.running()
    if cloud is None:
        raise NotDeployed(
            "no laptop cloud is running here: start it with 'make up', or name another stage with --stage"
        )
    return cloud.client


def _made_once(make: Client) -> Client:
    lock, made = threading.Lock(), dict[str, Any]()

    def client(service: str) -> Any:
        with lock:
            if service not in made:
                made[service] = make(service)
            return made[service]

    return client
